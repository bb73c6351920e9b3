// The residual streams of the calibration set in the dense model and in the model compressed so
// far, side by side, for methods that make up for what the compressed one lacks.
//
// A method drives both: it visits them in front of a block, or of half a block, and takes them past
// it when that is compressed. Passes over them are timed as the phase "statistics".
#pragma once

#include <functional>
#include <utility>

#include "calibration/statistics_store.h"
#include "model/activation_stream.h"

namespace condense {

class StreamPair {
 public:
  // Both begin with the embedded tokens of the calibration set. `statistics` must outlive this.
  explicit StreamPair(const StatisticsStore& statistics);

  // Calls fn for each batch: [batch, tokens, width] each.
  void Visit(const std::function<void(const Tensor& dense, const Tensor& compressed)>& fn) const;
  // Replaces both by what fn makes of them, batch by batch.
  void Transform(const std::function<std::pair<Tensor, Tensor>(const Tensor& dense,
                                                               const Tensor& compressed)>& fn);
  // Takes each through its block.
  void Advance(const Block& dense, const Block& compressed);

 private:
  const StatisticsStore& statistics_;
  ActivationStream dense_, compressed_;
};

}  // namespace condense
