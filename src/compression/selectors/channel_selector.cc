#include "compression/selectors/channel_selector.h"

#include "base/error.h"

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

int64_t ChannelInput::channels() const {
  if (consumer != nullptr) return consumer->in();
  CONDENSE_CHECK(!producers.empty(), "channels without consumer and producers");
  const Producer& first = producers.front();
  return first.rows.defined() ? first.rows.size(0) : first.linear->out();
}

Tensor ChannelInput::Statistic(StatKind kind) const {
  const Tensor value = statistics.Get({tap, kind});
  return value.to((consumer != nullptr ? consumer : producers.front().linear)->Product().device());
}

Tensor ChannelInput::Consumer() const {
  CONDENSE_CHECK(consumer != nullptr, "nothing linear reads these channels");
  return consumer->Product().t().to(kF64);
}

Tensor ChannelInput::SumOverUnits(const Tensor& of_channels) const {
  if (!units.defined()) return of_channels;
  return of_channels.index_select(0, units.flatten().to(of_channels.device()))
      .view(units.sizes())
      .sum(1);
}

ChannelInput MlpChannels(const BlockStatistics& statistics, const Mlp& mlp, Random random,
                         RidgeOptions ridge) {
  ChannelInput input{.statistics = statistics,
                     .tap = Tap::kMlpHidden,
                     .consumer = &mlp.down,
                     .random = std::move(random),
                     .ridge = ridge};
  input.producers.push_back({.linear = &mlp.up});
  if (mlp.gated()) input.producers.push_back({.linear = &mlp.gate});
  return input;
}

Indices ScoringSelector::Select(const ChannelInput& input, int64_t k) const {
  return LargestIndices(Scores(input), k);
}

}  // namespace condense
