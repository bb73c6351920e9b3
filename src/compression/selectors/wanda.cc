#include "compression/selectors/wanda.h"

#include "config/registry.h"

namespace condense {
namespace {

class Wanda final : public ScoringSelector {
 public:
  StatRequests Requests(Tap tap) const override { return {SecondMoment(tap)}; }

  Tensor ChannelScores(const ChannelInput& input) const override {
    return input.Consumer().abs().mean(1) * input.Statistic(StatKind::kSecondMoment).sqrt();
  }
};

CONDENSE_REGISTER(
    ChannelSelector, Wanda, "wanda", 1,
    "mean absolute consumer weight times the root mean square of the channel (Wanda)");

}  // namespace

SelectorPointer MakeWanda() { return std::make_shared<Wanda>(); }

}  // namespace condense
