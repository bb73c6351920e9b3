#include "compression/stream_pair.h"

#include "base/system.h"

namespace condense {

StreamPair::StreamPair(const StatisticsStore& statistics)
    : statistics_(statistics),
      dense_(statistics.model().LoadEmbedding(), statistics.tokens(), statistics.model().device()),
      compressed_(dense_) {}

void StreamPair::Visit(
    const std::function<void(const Tensor& dense, const Tensor& compressed)>& fn) const {
  const PhaseClock::Scope phase(statistics_.clock(), "statistics");
  for (int64_t i = 0; i < dense_.batches(); ++i) {
    CheckInterrupt();
    fn(dense_.batch(i), compressed_.batch(i));
  }
}

void StreamPair::Transform(
    const std::function<std::pair<Tensor, Tensor>(const Tensor& dense, const Tensor& compressed)>&
        fn) {
  const PhaseClock::Scope phase(statistics_.clock(), "statistics");
  for (int64_t i = 0; i < dense_.batches(); ++i) {
    CheckInterrupt();
    const auto [dense, compressed] = fn(dense_.batch(i), compressed_.batch(i));
    dense_.Put(i, dense);
    compressed_.Put(i, compressed);
  }
}

void StreamPair::Advance(const Block& dense, const Block& compressed) {
  const PhaseClock::Scope phase(statistics_.clock(), "statistics");
  dense_.Advance(dense);
  compressed_.Advance(compressed);
}

}  // namespace condense
