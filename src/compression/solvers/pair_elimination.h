// Rotary pairs of query/key heads, chosen and rescaled in the metric of the softmax.
//
// Row constants of the logits do not matter to a softmax, and a key counts as much as it is
// attended to. So the loss of changed logits is their variance under each query's attention, summed
// over the queries. Pair j adds e_j = q_j k_j + q_{j+f} k_{j+f} to a logit, and a complex gain
// (a_j, b_j), which commutes with the rotation, turns that into a_j e_j + b_j e'_j, where e'_j =
// q_j k_{j+f} - q_{j+f} k_j. With G the summed covariance of (e_1 ... e_f, e'_1 ... e'_f) the loss
// of gains w = (a, b) is (w - w0)^T G (w - w0), w0 = (1 ... 1, 0 ... 0). G is the statistic
// PairMetric() of calibration/statistics.h.
//
// The gains of a query head are folded into W_Q and b_Q; W_K is sliced.
#pragma once

#include <cstdint>
#include <vector>

#include "compression/solvers/elimination.h"
#include "compression/solvers/indices.h"

namespace condense {

inline constexpr double kPairRidge = 1e-3;  // of mean(diag G), towards w0

// For each key/value head the order in which its pairs are removed, all of them: each time the one
// whose loss, summed over the group's query heads, is least once the gains of the others have
// adapted. The heads go side by side, in one loop without looks by the host. metric: G of each query
// head [query heads, 2f, 2f]; queries: how many of them each key/value head serves, in order. costs:
// the loss each removal adds (with the ridge); the loss of a width is the sum of the costs up to it.
// A head whose metric is zero has nothing to lose.
std::vector<Elimination> EliminatePairs(const Tensor& metric, const std::vector<int64_t>& queries,
                                        double relative_ridge = kPairRidge);

// What a complete order leaves: the last `kept` of it, ascending.
Indices LastOf(const Elimination& elimination, int64_t kept);
// The costs in the order in which units are taken back: what PooledWidths() wants.
Tensor GainsOf(const Elimination& elimination);

struct PairGain {
  Tensor map;                // [d_h, 2k], columns as PairColumns(): W_Q' = W_Q map
  double damping = 0;        // absolute, beyond the ridge
  double squared_error = 0;  // (w - w0)^T G (w - w0), without the ridge
  double squared_norm = 0;   // w0^T G w0
};
// Best gains of one query head for kept pairs. metric: its G [2f, 2f].
PairGain FitPairGain(const Tensor& metric, const Indices& pairs,
                     double relative_ridge = kPairRidge);
// The pairs as they are.
PairGain NoPairGain(const Tensor& metric, const Indices& pairs);

}  // namespace condense
