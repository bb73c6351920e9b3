// Compares the next-token distributions of models at the same positions. Works in chunks of
// positions, so that the logits of a long text are never in memory as a whole.
#pragma once

#include <vector>

#include "kernels/compare_logits.h"
#include "model/model_source.h"

namespace condense {

// The residual streams before the final norms, [rows, width of each], and the heads that read them.
struct HeadedStates {
  const Head& head;
  const Tensor& hidden;
};

// One comparison per row. `targets`: [rows] int64. `vocabulary`: only ids below it take part, no
// more than either head knows; both distributions are over these ids alone.
std::vector<LogitComparison> CompareNextTokens(const HeadedStates& p, const HeadedStates& q,
                                               const Tensor& targets, int64_t vocabulary);

// Sum over rows of KL(p || q), for each of several q under one head; the logits of p are computed
// once. p, q: residual streams before the final norm, [rows, width].
std::vector<double> SumDivergences(const Head& head, const Tensor& p, const std::vector<Tensor>& q);

}  // namespace condense
