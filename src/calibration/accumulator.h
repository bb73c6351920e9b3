// Sums of one statistic over batches of activations, accumulated in float64 (methods.md 0.3).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/gram_sum.h"

namespace condense {

enum class StatKind {
  kGram,          // sum_n t_n^T t_n                     [p, p]
  kHeadGram,      // the Gram matrix of each head        [heads, w, w]
  kMean,          // mean over tokens                    [p]
  kSecondMoment,  // mean of squares                     [p]
  kMeanAbs,       // mean of absolute values             [p]
  // Of the block's input and output together, tap kBlockOutput; scalars:
  kCosine,  // 1 - mean of their cosine: block influence
  kAngle,   // mean over sequences of their angle at the last token, in units of pi
  // Of queries and their keys together, tap kScores (calibration/score_statistics.h):
  kPairMetric,     // covariances of what rotary pairs add to the scores    [query heads, w, w]
  kKeyCovariance,  // covariance of the keys under each query's attention   [query heads, w, w]
};
const char* StatKindName(StatKind kind);

// Sum of one statistic over batches.
class Accumulator {
 public:
  virtual ~Accumulator() = default;
  virtual void Add(const ActivationRows& rows) = 0;
  virtual void Merge(const Accumulator& other) = 0;
  // To be called once: a sum may be given away. `tokens`: the number of rows that were added.
  virtual Tensor Finish(int64_t tokens) = 0;
};
// `head_widths`: widths of the heads that lie side by side in a row (kHeadGram only; all equal).
std::unique_ptr<Accumulator> MakeAccumulator(StatKind kind, const std::vector<int64_t>& head_widths,
                                             GramMath math = GramMath::kFloat32);

}  // namespace condense
