#include "compression/selectors/flap.h"

#include "config/registry.h"

namespace condense {

namespace {

class Flap final : public ScoringSelector {
 public:
  using Params = FlapOptions;
  explicit Flap(Params params) : params_(params) {}

  StatRequests Requests(Tap tap) const override {
    if (params_.metric == FlapMetric::kWifn) return {SecondMoment(tap)};
    return {SecondMoment(tap), Mean(tap)};
  }

  Tensor ChannelScores(const ChannelInput& input) const override {
    const Tensor score = Metric(input);
    return params_.square ? score.square() : score;
  }

 private:
  Tensor Metric(const ChannelInput& input) const {
    const Tensor square = input.Statistic(StatKind::kSecondMoment);
    if (params_.metric == FlapMetric::kWifn) return square.sqrt() * input.Consumer().abs().mean(1);
    const Tensor variance = (square - input.Statistic(StatKind::kMean).square()).clamp_min(0);
    if (params_.metric == FlapMetric::kIfv) return variance;
    return variance * input.Consumer().square().sum(1);
  }

  Params params_;
};

CONDENSE_REGISTER(ChannelSelector, Flap, "flap", 1,
                  "largest fluctuation, weighted by the consumer (FLAP)");

}  // namespace

std::shared_ptr<const ScoringSelector> MakeFlap(const FlapOptions& options) {
  return std::make_shared<Flap>(options);
}

}  // namespace condense
