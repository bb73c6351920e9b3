#include "compression/selectors/even.h"

#include "config/registry.h"

namespace condense {
namespace {

class Even final : public ChannelSelector {
 public:
  StatRequests Requests(Tap) const override { return {}; }

  Indices Select(const ChannelInput& input, int64_t k) const override {
    Indices kept;
    for (int64_t i = 0; i < k; ++i) kept.push_back((2 * i + 1) * input.count() / (2 * k));
    return kept;
  }
};

CONDENSE_REGISTER(ChannelSelector, Even, "even", 1, "evenly spaced channels, whatever they do");

}  // namespace

SelectorPointer MakeEven() { return std::make_shared<Even>(); }

}  // namespace condense
