#include "compression/selectors/channel_selector.h"

namespace condense {

double GramDivisor(GramScale scale, const BlockStatistics& statistics) {
  switch (scale) {
    case GramScale::kSum:
      return 1;
    case GramScale::kPerSequence:
      return static_cast<double>(statistics.sequences);
    case GramScale::kPerToken:
      return static_cast<double>(statistics.tokens);
  }
  return 1;
}

Tensor ChannelInput::Statistic(const StatRequest& request) const {
  return statistics.Get(request).to(mlp.down.Product().device());
}

Tensor ChannelInput::Consumer() const { return mlp.down.Product().t().to(kF64); }

Indices ScoringSelector::Select(const ChannelInput& input, int64_t k) const {
  return LargestIndices(Scores(input), k);
}

}  // namespace condense
