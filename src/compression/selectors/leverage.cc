// Ridge leverage scores (MoDeGPT, Lin et al., arXiv 2408.09632; methods.md 1.2).
//
// s_j = [C (C + lambda I)^-1]_jj = 1 - lambda t_j with t_j = [(C + lambda I)^-1]_jj. Ranked by t_j,
// since the subtraction loses the digits that decide when lambda is small beside C.
#include "compression/selectors/channel_selector.h"
#include "compression/solvers/refit.h"
#include "config/registry.h"

namespace condense {
namespace {

class Leverage final : public ScoringSelector {
 public:
  struct Params {
    std::optional<double> lambda;
    std::optional<GramScale> gram_scale;
    template <class V>
    void Fields(V&& field) {
      field("lambda", lambda, "ridge; the method's unless given", Range::Above(0));
      field("gram_scale", gram_scale,
            "what C is divided by before lambda is added; the method's unless given");
    }
  };
  explicit Leverage(Params params) : params_(params) {}

  StatRequests Requests(Tap tap) const override { return {Gram(tap)}; }

  Tensor ChannelScores(const ChannelInput& input) const override {
    const GramScale scale = params_.gram_scale.value_or(input.ridge.scale);
    // C / s + lambda I ranks as C + s lambda I does.
    const double lambda =
        params_.lambda.value_or(input.ridge.lambda) * GramDivisor(scale, input.statistics);
    return -RidgeInverseDiagonal(input.Statistic(StatKind::kGram), lambda).values;
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(ChannelSelector, Leverage, "leverage", 1,
                  "largest ridge leverage scores of the hidden activations (MoDeGPT)");

}  // namespace
}  // namespace condense
