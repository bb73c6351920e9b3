// A few windows over a few joined rows (protocols.md 2.7), as in SLEB.
//
// The rows are shuffled, the first n rows joined, tokenised once with the special token in front
// and cut into windows of L; the tail is dropped. `samples` counts rows here, not sequences.
#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "base/strings.h"
#include "data/samplers/sampling.h"

namespace condense {
namespace {

class FirstLines final : public CalibrationSampler {
 public:
  using Params = JoinParams;
  explicit FirstLines(Params params) : params_(std::move(params)) {}
  uint64_t default_seed() const override { return 0; }

  SampledSequences Sample(const SamplingJob& job) const override {
    if (job.seed > UINT32_MAX) {
      throw MakeError<ConfigError>("seed {}: first-lines takes seeds below 2^32", job.seed);
    }
    // Hugging Face's data sets shuffle by NumPy's permutation.
    const std::vector<int64_t> order =
        NumpyRandom(static_cast<uint32_t>(job.seed)).Permutation(job.corpus.size());
    std::vector<std::string> rows;
    for (int64_t i = 0; i < std::min(job.samples, job.corpus.size()); ++i) {
      rows.push_back(job.corpus.rows[static_cast<size_t>(order[static_cast<size_t>(i)])]);
    }
    const std::vector<TokenId> stream =
        EncodeTruncated(job.tokenizer, Join(rows, params_.join), INT64_MAX);
    const auto tokens = static_cast<int64_t>(stream.size());
    if (tokens < job.length) {
      throw TooSmall(job, tokens, job.length, fmt::format("ids in {} shuffled rows", rows.size()));
    }
    SampledSequences drawn;
    for (int64_t begin = 0; begin + job.length <= tokens; begin += job.length) {
      drawn.sequences.emplace_back(stream.begin() + begin, stream.begin() + begin + job.length);
    }
    drawn.fraction_used = static_cast<double>(rows.size()) / static_cast<double>(job.corpus.size());
    return drawn;
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(CalibrationSampler, FirstLines, "first-lines", /*version=*/1,
                  "Windows over the first of the shuffled rows: a few sequences (SLEB).");

}  // namespace
}  // namespace condense
