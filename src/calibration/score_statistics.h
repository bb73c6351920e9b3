// Statistics of queries and keys together: second moments under their own attention weights.
//
// P = causal softmax(scale q k^T) of a query head; for query t, k_bar_t = sum_s P_ts k_s and
// D_t = sum_s P_ts k_s^T k_s - k_bar_t^T k_bar_t, the covariance of the keys under its attention. q
// and k are those that enter the scores: rotated, where the model rotates.
//
//   key covariance  sum_t D_t                                                    [w, w]
//   pair metric     [[G_ee, G_ee'], [G_ee'^T, G_e'e']], pair j = columns {j, j+f}, f = w / 2
//                   G_ee = fold(sum_t (q_t^T q_t) o D_t), with r = (-q_{j+f}, q_j) for each q of
//                   an e' on its side; fold sums the four f x f quarters     [2f, 2f] = [w, w]
//
// that is, of the covariance of e_j = q_j k_j + q_{j+f} k_{j+f} and e'_j = q_j k_{j+f} - q_{j+f}
// k_j over the keys, summed over queries. No [tokens, tokens] and no [tokens, w, w] tensor is ever
// in memory: all heads, or as many as fit, are computed together for a chunk of queries. Products
// are computed in the type of the activations (float32 at least), sums over chunks in float64.
#pragma once

#include <memory>
#include <vector>

#include "calibration/statistics.h"
#include "model/model_config.h"
#include "tensor/tensor.h"

namespace condense {

// Sum of one statistic over batches of sequences, for each query head.
class ScoreAccumulator {
 public:
  virtual ~ScoreAccumulator() = default;
  // queries, keys: [batch, tokens, heads side by side].
  virtual void Add(const Tensor& queries, const Tensor& keys, double scale) = 0;
  virtual void Merge(const ScoreAccumulator& other) = 0;
  virtual Tensor Finish() const = 0;  // [query heads, w, w] float64, on the CPU
};

// Which queries are visited.
struct ScoreSample {
  int64_t query_stride = 1;  // queries stride - 1, 2 stride - 1, ... of a sequence; one at least
  int64_t sequences = 0;     // so many sequences, evenly spread over those that are added; 0: all
  int64_t of = 0;            // how many will be added; 0: not known, and the first ones are visited
  bool Visits(int64_t sequence) const;  // the first that is added is 0
};

// kind: kPairMetric or kKeyCovariance. All heads of a layer must have the same width, which is even
// for the pair metric; the sizes of their groups may differ. Accumulators that are merged have to
// visit all sequences.
std::unique_ptr<ScoreAccumulator> MakeScoreAccumulator(StatKind kind,
                                                       const std::vector<HeadConfig>& heads,
                                                       const ScoreSample& sample);

}  // namespace condense
