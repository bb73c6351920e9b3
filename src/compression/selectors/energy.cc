// Column selection for the product H W_D (the CR decomposition of methods.md 1.3, applied to the
// MLP): the norm of channel j over the calibration tokens times the norm of its consumer row.
// Without the consumer it is the limit of ridge leverage for a large ridge.
#include "compression/selectors/channel_selector.h"
#include "config/registry.h"

namespace condense {
namespace {

class Energy final : public ScoringSelector {
 public:
  struct Params {
    bool consumer = true;
    template <class V>
    void Fields(V&& field) {
      field("consumer", consumer, "weigh a channel by the norm of its row of the down projection");
    }
  };
  explicit Energy(Params params) : params_(params) {}

  StatRequests Requests(Tap tap) const override { return {SecondMoment(tap)}; }

  Tensor ChannelScores(const ChannelInput& input) const override {
    const Tensor energy = input.Statistic(StatKind::kSecondMoment);
    return params_.consumer ? energy * input.Consumer().square().sum(1) : energy;
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(ChannelSelector, Energy, "energy", 1,
                  "largest energy of a channel times that of its consumer row (CR decomposition)");

}  // namespace
}  // namespace condense
