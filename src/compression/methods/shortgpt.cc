// ShortGPT (Men et al., arXiv 2403.03853; methods.md 5.1): removes the blocks that change the
// residual stream least, measured once on the dense model. Nothing is refitted.
#include <algorithm>
#include <numeric>

#include "compression/bases/depth.h"

namespace condense {

enum class BlockMetric { kInfluence, kAngular };
template <>
struct EnumNames<BlockMetric> {
  static constexpr std::array names{std::pair{BlockMetric::kInfluence, "bi"},
                                    std::pair{BlockMetric::kAngular, "angular"}};
};

namespace {

class ShortGpt final : public DepthMethod {
 public:
  struct Params : DepthOptions {
    BlockMetric metric = BlockMetric::kInfluence;
    template <class V>
    void Fields(V&& field) {
      DepthOptions::Fields(field);
      field("metric", metric,
            "bi: 1 - mean cosine of input and output of a block; angular: their angle at the last "
            "token of each sequence");
    }
  };
  explicit ShortGpt(const Params& params) : DepthMethod(params), metric_(params.metric) {}

 protected:
  // Those of least influence; ties: the lower index goes first.
  std::vector<int64_t> Removed(const PlanContext& context, int64_t count) const override {
    const std::vector<double> change =
        metric_ == BlockMetric::kInfluence ? context.influence() : Angles(context.scores());
    std::vector<int64_t> order(change.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return change[static_cast<size_t>(a)] < change[static_cast<size_t>(b)];
    });
    order.resize(static_cast<size_t>(count));
    return order;
  }

 private:
  static std::vector<double> Angles(StatisticsStore& scores) {
    return scores.Derived<std::vector<double>>("block angles", [&] {
      std::vector<double> angles;
      scores.ForEachLayer({BlockAngle()}, [&](int64_t, const BlockStatistics& statistics) {
        angles.push_back(statistics.Get(BlockAngle()).item<double>());
      });
      return angles;
    });
  }

  BlockMetric metric_;
};

CONDENSE_REGISTER(Compressor, ShortGpt, "shortgpt", 1,
                  "removes the blocks that change the residual stream least (Men et al. 2024)");

}  // namespace
}  // namespace condense
