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

#include "calibration/accumulator.h"
#include "model/model_config.h"
#include "model/taps.h"
#include "tensor/tensor.h"

namespace condense {

struct StatRequest {
  Tap tap;
  StatKind kind;
  // For statistics that visit single queries: every n-th of them. Others use all tokens.
  int64_t query_stride = 1;
  // And for those: so many sequences, evenly spread over the set; 0: all.
  int64_t sequences = 0;
  auto operator<=>(const StatRequest&) const = default;
  std::string Name() const;  // "mlp_hidden.gram", "scores.pair_metric.every8.of16"
};
using StatRequests = std::set<StatRequest>;

inline StatRequest Gram(Tap tap) { return {tap, StatKind::kGram}; }
inline StatRequest HeadGram(Tap tap) { return {tap, StatKind::kHeadGram}; }
inline StatRequest Mean(Tap tap) { return {tap, StatKind::kMean}; }
inline StatRequest SecondMoment(Tap tap) { return {tap, StatKind::kSecondMoment}; }
inline StatRequest BlockInfluence() { return {Tap::kBlockOutput, StatKind::kCosine}; }
inline StatRequest BlockAngle() { return {Tap::kBlockOutput, StatKind::kAngle}; }
inline StatRequest PairMetric(int64_t query_stride = 1, int64_t sequences = 0) {
  return {Tap::kScores, StatKind::kPairMetric, query_stride, sequences};
}
inline StatRequest KeyCovariance(int64_t query_stride = 1) {
  return {Tap::kScores, StatKind::kKeyCovariance, query_stride};
}

// Columns that a tap reports in this layer; of kScores, the queries.
int64_t TapWidth(Tap tap, const LayerConfig& layer);

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

// Collects the requested statistics of one block while it runs: a TapSink.
class StatisticsCollector final : public TapSink {
 public:
  // sequences: how many will run through the block, if that is known.
  StatisticsCollector(StatRequests requests, const LayerConfig& layer,
                      GramMath math = GramMath::kFloat32, int64_t sequences = 0);
  ~StatisticsCollector() override;
  bool Wants(Tap tap) const override;
  void OnTap(Tap tap, const Tensor& activations) override;
  void OnScores(const Tensor& queries, const Tensor& keys, double scale) override;
  // To be called once. NumericError, naming `where` (layer, batch) and the statistic, if a value is
  // not finite.
  BlockStatistics Finish(const std::string& where);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace condense
