// Backward elimination with compensation (OBC, Frantar & Alistarh, arXiv 2208.11580; ZipLM, Kurtic
// et al., arXiv 2302.04089; methods.md 5.7). Only the choice of channels is used: the method's
// refit gives the weights.
#include <algorithm>

#include "compression/selectors/selectors.h"
#include "config/registry.h"

namespace condense {
namespace {

class Obc final : public ChannelSelector {
 public:
  using Params = ObcOptions;
  explicit Obc(Params params) : params_(params) {}

  StatRequests Requests(Tap tap) const override { return {Gram(tap)}; }

  Indices Select(const ChannelInput& input, int64_t k) const override {
    Indices removed = ObcOrder(params_, input, input.count() - k).order;
    std::sort(removed.begin(), removed.end());
    return Complement(removed, input.count());
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(
    ChannelSelector, Obc, "obc", 1,
    "backward elimination of the channel whose loss costs least after compensation (OBC)");

}  // namespace

SelectorPointer MakeObc(const ObcOptions& options) { return std::make_shared<Obc>(options); }

Elimination ObcOrder(const ObcOptions& options, const ChannelInput& input, int64_t count) {
  const Tensor c = input.Statistic(StatKind::kGram);
  if (input.units.defined()) {
    return EliminateGroups(c, input.Consumer(), input.units, count, options.damping);
  }
  return EliminateBackward(c, input.Consumer(), count,
                           {.relative_damping = options.damping, .drop_block = options.drop_block});
}

}  // namespace condense
