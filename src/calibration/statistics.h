// Statistics of activations inside one block, accumulated in float64 over calibration tokens
// (methods.md 0.3).
//
// Sums are associative: Merge() of two halves equals one pass. Batch size and number of threads
// change the result by no more than the rounding of float64.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/model_config.h"
#include "model/taps.h"
#include "tensor/tensor.h"

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

struct StatRequest {
  Tap tap;
  StatKind kind;
  // For statistics that visit single queries: every n-th of them. Others use all tokens.
  int64_t query_stride = 1;
  auto operator<=>(const StatRequest&) const = default;
  std::string Name() const;  // "mlp_hidden.gram", "scores.pair_metric.every8"
};
using StatRequests = std::set<StatRequest>;

inline StatRequest Gram(Tap tap) { return {tap, StatKind::kGram}; }
inline StatRequest HeadGram(Tap tap) { return {tap, StatKind::kHeadGram}; }
inline StatRequest Mean(Tap tap) { return {tap, StatKind::kMean}; }
inline StatRequest SecondMoment(Tap tap) { return {tap, StatKind::kSecondMoment}; }
inline StatRequest BlockInfluence() { return {Tap::kBlockOutput, StatKind::kCosine}; }
inline StatRequest BlockAngle() { return {Tap::kBlockOutput, StatKind::kAngle}; }
inline StatRequest PairMetric(int64_t query_stride = 1) {
  return {Tap::kScores, StatKind::kPairMetric, query_stride};
}
inline StatRequest KeyCovariance(int64_t query_stride = 1) {
  return {Tap::kScores, StatKind::kKeyCovariance, query_stride};
}

// Finished statistics of one block.
class BlockStatistics {
 public:
  // float64, on the CPU. An internal error if the request was not made.
  const Tensor& Get(const StatRequest& request) const;
  bool Has(const StatRequest& request) const { return values_.count(request) > 0; }
  void Set(const StatRequest& request, Tensor value) { values_[request] = std::move(value); }
  const std::map<StatRequest, Tensor>& values() const { return values_; }
  void MergeFrom(const BlockStatistics& other);  // adds requests that are not here yet

  int64_t tokens = 0;  // N
  int64_t sequences = 0;
  int64_t skipped = 0;  // tokens that the block influence leaves out: their residual has norm zero

 private:
  std::map<StatRequest, Tensor> values_;
};

// Sum of one statistic over batches.
class Accumulator {
 public:
  virtual ~Accumulator() = default;
  // rows: [n, p] float64.
  virtual void Add(const Tensor& rows) = 0;
  virtual void Merge(const Accumulator& other) = 0;
  // `tokens`: the number of rows that were added.
  virtual Tensor Finish(int64_t tokens) const = 0;
};
// `head_widths`: widths of the heads that lie side by side in a row (kHeadGram only; all equal).
std::unique_ptr<Accumulator> MakeAccumulator(StatKind kind,
                                             const std::vector<int64_t>& head_widths);

// Collects the requested statistics of one block while it runs: a TapSink.
class StatisticsCollector final : public TapSink {
 public:
  StatisticsCollector(StatRequests requests, const LayerConfig& layer);
  ~StatisticsCollector() override;
  bool Wants(Tap tap) const override;
  void OnTap(Tap tap, const Tensor& activations) override;
  void OnScores(const Tensor& queries, const Tensor& keys, double scale) override;
  // NumericError, naming `where` (layer, batch) and the statistic, if a value is not finite.
  BlockStatistics Finish(const std::string& where) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace condense
