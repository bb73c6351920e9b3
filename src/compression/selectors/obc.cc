#include "compression/selectors/obc.h"

#include <algorithm>

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
    ChannelSelector, Obc, "obc", 2,
    "backward elimination of the channel whose loss costs least after compensation (OBC)");

}  // namespace

SelectorPointer MakeObc(const ObcOptions& options) { return std::make_shared<Obc>(options); }

Elimination ObcOrder(const ObcOptions& options, const ChannelInput& input, int64_t count) {
  const Tensor c = input.Statistic(StatKind::kGram);
  if (input.units.defined()) {
    return EliminateGroups(c, input.Consumer(), input.units, count, options.damping);
  }
  return EliminateBackward(c, input.Consumer(), count, {.relative_damping = options.damping});
}

}  // namespace condense
