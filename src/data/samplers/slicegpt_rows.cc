// Single rows without concatenation (protocols.md 2.4, variant): SliceGPT's loader for sequences of
// varying length.
//
// The first n rows in a random order by LibTorch's CPU generator, empty rows left out; each is
// tokenised with the special token in front and cut to L ids.
#include <algorithm>

#include "data/samplers/sampling.h"
#include "data/samplers/torch_draws.h"

namespace condense {
namespace {

class SliceGptRows final : public CalibrationSampler {
 public:
  uint64_t default_seed() const override { return 42; }

  SampledSequences Sample(const SamplingJob& job) const override {
    const std::vector<std::string_view> rows = NonEmptyRows(job.corpus);
    const auto count = std::min(job.samples, static_cast<int64_t>(rows.size()));
    RequireSamples(job, static_cast<size_t>(count), "it has no more rows");
    const std::vector<int64_t> order =
        TorchPermutation(static_cast<int64_t>(rows.size()), TorchGenerator(job.seed));
    SampledSequences drawn;
    for (int64_t i = 0; i < count; ++i) {
      drawn.sequences.push_back(EncodeTruncated(
          job.tokenizer, rows[static_cast<size_t>(order[static_cast<size_t>(i)])], job.length));
    }
    drawn.fraction_used = static_cast<double>(count) / static_cast<double>(rows.size());
    return drawn;
  }
};

CONDENSE_REGISTER(CalibrationSampler, SliceGptRows, "slicegpt-rows", /*version=*/1,
                  "Single random rows, cut on the right (SliceGPT's varying sequence length).");

}  // namespace
}  // namespace condense
