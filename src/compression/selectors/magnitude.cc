// Squared norms of a channel's weights (methods.md 5.4). Looks at no data.
#include "compression/selectors/channel_selector.h"
#include "config/registry.h"

namespace condense {

enum class MagnitudeOf { kCoupled, kConsumer };
template <>
struct EnumNames<MagnitudeOf> {
  static constexpr std::array names{std::pair{MagnitudeOf::kCoupled, "coupled"},
                                    std::pair{MagnitudeOf::kConsumer, "consumer"}};
};

namespace {

class Magnitude final : public ScoringSelector {
 public:
  struct Params {
    MagnitudeOf of = MagnitudeOf::kCoupled;
    template <class V>
    void Fields(V&& field) {
      field("of", of, "all weights that go with a channel, or those of the consumer alone");
    }
  };
  explicit Magnitude(Params params) : params_(params) {}

  StatRequests Requests() const override { return {}; }

  Tensor Scores(const ChannelInput& input) const override {
    Tensor score = input.Consumer().square().sum(1);
    if (params_.of == MagnitudeOf::kConsumer) return score;
    for (const Linear* linear : {&input.mlp.up, &input.mlp.gate}) {
      if (linear == &input.mlp.gate && !input.mlp.gated()) continue;
      score = score + linear->Product().to(kF64).square().sum(1);
      if (linear->bias.defined()) score = score + linear->bias.to(kF64).square();
    }
    return score;
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(ChannelSelector, Magnitude, "magnitude", 1,
                  "largest squared norm of the weights of a channel");

}  // namespace
}  // namespace condense
