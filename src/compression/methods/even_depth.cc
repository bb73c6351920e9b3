// Removes blocks at even spacing, never the first or the last (methods.md 5.4): the baseline for
// any choice of blocks. Looks at no data.
#include "compression/bases/depth.h"

namespace condense {
namespace {

class EvenDepth final : public DepthMethod {
 public:
  using Params = DepthOptions;
  explicit EvenDepth(const Params& params) : DepthMethod(params) {}

  bool UsesCalibration() const override { return false; }

 protected:
  int64_t MostRemoved(int64_t layers) const override { return layers - 2; }

  // Among the n inner blocks those at floor((i + 1/2) n / count).
  std::vector<int64_t> Removed(const PlanContext& context, int64_t count) const override {
    const int64_t inner = context.dense().num_layers() - 2;
    std::vector<int64_t> removed;
    for (int64_t i = 0; i < count; ++i) removed.push_back(1 + (2 * i + 1) * inner / (2 * count));
    return removed;
  }
};

CONDENSE_REGISTER(Compressor, EvenDepth, "even_depth", 1, "removes blocks at even spacing");

}  // namespace
}  // namespace condense
