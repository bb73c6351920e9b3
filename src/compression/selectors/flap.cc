// Fluctuation of a channel (FLAP, An et al., arXiv 2312.11983; methods.md 5.6): a channel that
// hardly varies can be replaced by its mean, through a bias. The exact population variance is
// taken.
#include "compression/selectors/channel_selector.h"
#include "config/registry.h"

namespace condense {

enum class FlapMetric { kWifv, kIfv, kWifn };
template <>
struct EnumNames<FlapMetric> {
  static constexpr std::array names{std::pair{FlapMetric::kWifv, "wifv"},
                                    std::pair{FlapMetric::kIfv, "ifv"},
                                    std::pair{FlapMetric::kWifn, "wifn"}};
};

namespace {

class Flap final : public ScoringSelector {
 public:
  struct Params {
    FlapMetric metric = FlapMetric::kWifv;
    template <class V>
    void Fields(V&& field) {
      field("metric", metric,
            "wifv: variance x squared norm of the consumer row; ifv: variance; "
            "wifn: root mean square x mean absolute weight");
    }
  };
  explicit Flap(Params params) : params_(params) {}

  StatRequests Requests() const override {
    if (params_.metric == FlapMetric::kWifn) return {SecondMoment(Tap::kMlpHidden)};
    return {SecondMoment(Tap::kMlpHidden), Mean(Tap::kMlpHidden)};
  }

  Tensor Scores(const ChannelInput& input) const override {
    const Tensor square = input.Statistic(SecondMoment(Tap::kMlpHidden));
    if (params_.metric == FlapMetric::kWifn) return square.sqrt() * input.Consumer().abs().mean(1);
    const Tensor variance = (square - input.Statistic(Mean(Tap::kMlpHidden)).square()).clamp_min(0);
    if (params_.metric == FlapMetric::kIfv) return variance;
    return variance * input.Consumer().square().sum(1);
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(ChannelSelector, Flap, "flap", 1,
                  "largest fluctuation, weighted by the consumer (FLAP)");

}  // namespace
}  // namespace condense
