// The residual stream of the calibration set in the model compressed so far, carried from block to
// block during a compression. Passes over it are timed as the phase "statistics".
#pragma once

#include <functional>
#include <string>

#include "calibration/statistics.h"
#include "calibration/statistics_store.h"
#include "model/activation_stream.h"

namespace condense {

class CompressedStream {
 public:
  // Begins with the embedded tokens of the calibration set. `statistics` must outlive this.
  CompressedStream(const StatisticsStore& statistics, const Embedding& embedding);

  // Calls fn for each batch: [batch, tokens, width].
  void Visit(const std::function<void(const Tensor& x)>& fn) const;
  // Replaces each batch by fn(batch).
  void Transform(const std::function<Tensor(const Tensor& x)>& fn);
  void Advance(const Block& block);

  // Statistics of a block that reads the stream. `where` names it in errors.
  BlockStatistics Collect(const Block& block, const StatRequests& requests,
                          const std::string& where) const;

 private:
  const StatisticsStore& statistics_;
  ActivationStream stream_;
};

}  // namespace condense
