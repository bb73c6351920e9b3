#include "compression/compressed_stream.h"

namespace condense {

CompressedStream::CompressedStream(const StatisticsStore& statistics, const Embedding& embedding)
    : statistics_(statistics),
      stream_(embedding, statistics.tokens(), statistics.model().device()) {}

void CompressedStream::Visit(const std::function<void(const Tensor& x)>& fn) const {
  const PhaseClock::Scope phase(statistics_.clock(), "statistics");
  stream_.Visit(fn);
}

void CompressedStream::Transform(const std::function<Tensor(const Tensor& x)>& fn) {
  const PhaseClock::Scope phase(statistics_.clock(), "statistics");
  stream_.Transform(fn);
}

void CompressedStream::Advance(const Block& block) {
  const PhaseClock::Scope phase(statistics_.clock(), "statistics");
  stream_.Advance(block);
}

BlockStatistics CompressedStream::Collect(const Block& block, const StatRequests& requests,
                                          const std::string& where) const {
  StatisticsCollector collector(requests, ShapeOf(block), statistics_.gram_math());
  Visit([&](const Tensor& x) { block.Forward(x, {.taps = &collector}); });
  return collector.Finish(where);
}

}  // namespace condense
