// What two models say next at the same positions, in chunks of positions so that the logits of a
// long text are never held.
#pragma once

#include <vector>

#include "model/model_source.h"
#include "tensor/compare_logits.h"

namespace condense {

// The residual streams before the final norms, [rows, width of each], and the heads that read them.
struct HeadedStates {
  const Head& head;
  const Tensor& hidden;
};

// One comparison a row. `targets`: [rows] int64; `vocabulary`: ids that take part, no more than
// either head knows; both distributions are over these alone.
std::vector<LogitComparison> CompareNextTokens(const HeadedStates& p, const HeadedStates& q,
                                               const Tensor& targets, int64_t vocabulary);

}  // namespace condense
