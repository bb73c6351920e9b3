// Single rows without concatenation (protocols.md 2.4, variant): SliceGPT's loader for sequences of
// varying length.
//
// n rows of those that are not empty, by a seeded permutation of LibTorch's CPU generator; each is
// tokenised with the special token in front and cut to L ids.
#include <ATen/ATen.h>

#include <algorithm>

#include "data/samplers/sampling.h"

namespace condense {
namespace {

class SliceGptRows final : public CalibrationSampler {
 public:
  uint64_t default_seed() const override { return 42; }

  SampledSequences Sample(const SamplingJob& job) const override {
    const std::vector<std::string_view> rows = NonEmptyRows(job.corpus);
    const auto count = std::min(job.samples, static_cast<int64_t>(rows.size()));
    RequireSamples(job, static_cast<size_t>(count), "it has no more rows");
    const at::Tensor order =
        at::randperm(static_cast<int64_t>(rows.size()), TorchGenerator(job.seed),
                     at::TensorOptions().dtype(at::kLong));
    const int64_t* indices = order.data_ptr<int64_t>();
    SampledSequences drawn;
    for (int64_t i = 0; i < count; ++i) {
      drawn.sequences.push_back(
          EncodeTruncated(job.tokenizer, rows[static_cast<size_t>(indices[i])], job.length));
    }
    drawn.fraction_used = static_cast<double>(count) / static_cast<double>(rows.size());
    return drawn;
  }
};

CONDENSE_REGISTER(CalibrationSampler, SliceGptRows, "slicegpt-rows", /*version=*/1,
                  "Single random rows, cut on the right (SliceGPT's varying sequence length).");

}  // namespace
}  // namespace condense
