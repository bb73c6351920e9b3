// Consecutive rows, from a random one on, concatenated until they fill a sequence (protocols.md
// 2.4), exactly as in SliceGPT's data loader. Its final shuffle, which only changes rounding, is left
// out.
//
// The pieces are tokenised one by one, cut to L tokens, turned back into a string and tokenised
// again as a whole; that detour changes ids and is part of the sampler.
#include <numeric>

#include "base/system.h"
#include "data/samplers/sampling.h"
#include "data/samplers/torch_draws.h"

namespace condense {
namespace {

// The tokens of consecutive remaining rows from `begin` on, and the number of rows used.
struct Pieces {
  std::vector<TokenId> tokens;
  size_t rows = 0;
};

Pieces Collect(const std::vector<std::string_view>& rows, const std::vector<size_t>& remaining,
               size_t begin, const std::string& join, const SamplingJob& job) {
  Pieces pieces;
  while (static_cast<int64_t>(pieces.tokens.size()) < job.length &&
         begin + pieces.rows < remaining.size()) {
    const std::string_view row = rows[remaining[begin + pieces.rows]];
    const std::string text = (pieces.rows == 0 ? "" : join) + std::string(row);
    const std::vector<TokenId> ids = job.tokenizer.Encode(text, SpecialTokens::kNone);
    pieces.tokens.insert(pieces.tokens.end(), ids.begin(), ids.end());
    ++pieces.rows;
  }
  return pieces;
}

class SliceGptConcat final : public CalibrationSampler {
 public:
  using Params = JoinParams;
  explicit SliceGptConcat(Params params) : params_(std::move(params)) {}
  uint64_t default_seed() const override { return 42; }

  SampledSequences Sample(const SamplingJob& job) const override {
    const std::vector<std::string_view> rows = NonEmptyRows(job.corpus);
    std::vector<size_t> remaining(rows.size());
    std::iota(remaining.begin(), remaining.end(), size_t{0});
    const at::Generator generator = TorchGenerator(job.seed);
    SampledSequences drawn;
    size_t rows_used = 0;
    while (static_cast<int64_t>(drawn.sequences.size()) < job.samples && !remaining.empty()) {
      CheckInterrupt();
      const int64_t begin = TorchRandInt(static_cast<int64_t>(remaining.size()), generator);
      Pieces pieces = Collect(rows, remaining, static_cast<size_t>(begin), params_.join, job);
      const auto first = remaining.begin() + begin;
      remaining.erase(first, first + static_cast<int64_t>(pieces.rows));
      if (static_cast<int64_t>(pieces.tokens.size()) < job.length) continue;
      pieces.tokens.resize(static_cast<size_t>(job.length));
      drawn.sequences.push_back(
          EncodeTruncated(job.tokenizer, job.tokenizer.Decode(pieces.tokens), job.length));
      rows_used += pieces.rows;
    }
    RequireSamples(job, drawn.sequences.size(), "each of its rows is used at most once");
    drawn.fraction_used = static_cast<double>(rows_used) / static_cast<double>(rows.size());
    return drawn;
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(
    CalibrationSampler, SliceGptConcat, "slicegpt-concat", /*version=*/1,
    "Consecutive rows, joined, from random ones on; each used once (SliceGPT, MoDeGPT).");

}  // namespace
}  // namespace condense
