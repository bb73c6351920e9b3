#include "compression/selectors/magnitude.h"

#include "config/registry.h"

namespace condense {
namespace {

class Magnitude final : public ScoringSelector {
 public:
  using Params = MagnitudeOptions;
  explicit Magnitude(Params params) : params_(params) {}

  StatRequests Requests(Tap) const override { return {}; }

  Tensor ChannelScores(const ChannelInput& input) const override {
    Tensor score;
    const auto add = [&](const Tensor& part) { score = score.defined() ? score + part : part; };
    if (input.consumer != nullptr) {
      add(input.Consumer().square().sum(1));
      if (params_.of == MagnitudeOf::kConsumer) return score;
    }
    for (const Producer& producer : input.producers) {
      Tensor rows = producer.linear->Product().to(kF64).square().sum(1);
      const Tensor& bias = producer.linear->bias;
      if (bias.defined()) rows = rows + bias.to(kF64).square();
      if (producer.rows.defined()) rows = rows.index_select(0, producer.rows.to(rows.device()));
      add(producer.share * rows);
    }
    return score;
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(ChannelSelector, Magnitude, "magnitude", 1,
                  "largest squared norm of the weights of a channel");

}  // namespace

SelectorPointer MakeMagnitude(const MagnitudeOptions& options) {
  return std::make_shared<Magnitude>(options);
}

}  // namespace condense
