#include "compression/selectors/random.h"

#include <algorithm>

#include "config/registry.h"

namespace condense {
namespace {

class RandomChannels final : public ChannelSelector {
 public:
  StatRequests Requests(Tap) const override { return {}; }

  Indices Select(const ChannelInput& input, int64_t k) const override {
    Indices kept = input.random.Derive("random selector").Permutation(input.count());
    kept.resize(static_cast<size_t>(k));
    std::sort(kept.begin(), kept.end());
    return kept;
  }
};

CONDENSE_REGISTER(ChannelSelector, RandomChannels, "random", 1, "channels drawn at random");

}  // namespace

SelectorPointer MakeRandomUnits() { return std::make_shared<RandomChannels>(); }

}  // namespace condense
