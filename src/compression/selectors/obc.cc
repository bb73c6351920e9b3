// Backward elimination with compensation (OBC, Frantar & Alistarh, arXiv 2208.11580; ZipLM, Kurtic
// et al., arXiv 2302.04089; methods.md 5.7). Only the choice of channels is used: the method's
// refit gives the weights.
#include <algorithm>

#include "compression/selectors/channel_selector.h"
#include "config/registry.h"

namespace condense {
namespace {

class Obc final : public ChannelSelector {
 public:
  struct Params {
    double damping = 1e-6;
    int64_t drop_block = 32;
    template <class V>
    void Fields(V&& field) {
      field("damping", damping, "added to C, times its mean diagonal (the publication: 1e-2)",
            Range::Above(0));
      field("drop_block", drop_block, "channels removed at a time; 1 is the exact greedy order",
            Range::AtLeast(1));
    }
  };
  explicit Obc(Params params) : params_(params) {}

  StatRequests Requests() const override { return {Gram(Tap::kMlpHidden)}; }

  Indices Select(const ChannelInput& input, int64_t k) const override {
    const int64_t m = input.channels();
    Indices removed =
        EliminateBackward(input.Statistic(Gram(Tap::kMlpHidden)), input.Consumer(), m - k,
                          {.relative_damping = params_.damping, .drop_block = params_.drop_block})
            .order;
    std::sort(removed.begin(), removed.end());
    return Complement(removed, m);
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(
    ChannelSelector, Obc, "obc", 1,
    "backward elimination of the channel whose loss costs least after compensation (OBC)");

}  // namespace
}  // namespace condense
