// Disjoint chunks of the joined text, drawn without replacement (protocols.md 2.5), as in
// reimplementations of MoDeGPT. The text is tokenised without special tokens.
#include <algorithm>

#include "base/random.h"
#include "base/strings.h"
#include "data/samplers/sampling.h"

namespace condense {
namespace {

class Chunks final : public CalibrationSampler {
 public:
  using Params = JoinParams;
  explicit Chunks(Params params) : params_(std::move(params)) {}
  uint64_t default_seed() const override { return 1234; }

  SampledSequences Sample(const SamplingJob& job) const override {
    const std::vector<TokenId> stream =
        job.tokenizer.Encode(Join(job.corpus.rows, params_.join), SpecialTokens::kNone);
    const int64_t chunks = static_cast<int64_t>(stream.size()) / job.length;
    const int64_t count = std::min(job.samples, chunks);
    RequireSamples(job, static_cast<size_t>(count), fmt::format("it has {} ids", stream.size()));
    const std::vector<int64_t> order = Random(job.seed, "calibration/chunks").Permutation(chunks);
    SampledSequences drawn;
    for (int64_t i = 0; i < count; ++i) {
      const auto begin = stream.begin() + order[static_cast<size_t>(i)] * job.length;
      drawn.sequences.emplace_back(begin, begin + job.length);
    }
    drawn.fraction_used =
        static_cast<double>(count * job.length) / static_cast<double>(stream.size());
    return drawn;
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(CalibrationSampler, Chunks, "chunks", /*version=*/1,
                  "Disjoint chunks of the joined text, drawn without replacement.");

}  // namespace
}  // namespace condense
