// Statistics of the dense model over one calibration set, made once and shared by everything that
// needs them: all ratios of a method, all methods, the allocators.
#pragma once

#include <any>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/phases.h"
#include "calibration/statistics.h"
#include "data/calibration.h"
#include "model/activation_stream.h"
#include "model/model_source.h"

namespace condense {

class StatisticsStore {
 public:
  struct Options {
    // Finished statistics are also kept here, one file for each layer and request, so that a later
    // run of the program need not repeat the pass. Keyed by the digests of model and calibration
    // set.
    std::optional<std::filesystem::path> folder;
    // Statistics beyond this many bytes are not kept in memory after use.
    uint64_t memory_bytes = uint64_t{2} << 30;
  };
  // Both must outlive the store.
  StatisticsStore(const ModelSource& model, const CalibrationSet& calibration, Options options);

  // Calls fn for each layer in turn. What is missing is made by one streamed forward pass, in which
  // at most one block and its statistics are in memory (beyond what Options allow to keep).
  void ForEachLayer(
      const StatRequests& requests,
      const std::function<void(int64_t layer, const BlockStatistics& statistics)>& fn);
  // Block influence of each layer.
  const std::vector<double>& Influence();
  // What Influence() found, if it was ever asked; else empty.
  const std::vector<double>& known_influence() const { return influence_; }

  // Something that follows from the model and this calibration set alone and is dear to make, such
  // as an order of removal: made at the first call, kept for others of the same key. What is kept
  // may be extended by its owner.
  template <class T>
  T& Derived(const std::string& key, const std::function<T()>& make) {
    std::any& kept = derived_[key];
    if (!kept.has_value()) kept = make();
    return std::any_cast<T&>(kept);
  }

  // As Derived, for named tensors, which are kept on disk too where the statistics are. The key
  // says everything that they depend on besides the model and the calibration set.
  using Tensors = std::map<std::string, Tensor>;
  const Tensors& DerivedTensors(const std::string& key, const std::function<Tensors()>& make);

  const ModelSource& model() const { return model_; }
  const CalibrationSet& calibration() const { return calibration_; }
  const TokenBatches& tokens() const { return tokens_; }
  double seconds() const { return seconds_; }  // spent in forward passes so far
  // Passes are booked there as the phase "statistics", while one is set. Null otherwise.
  PhaseClock* clock() const { return clock_; }
  void set_clock(PhaseClock* clock) { clock_ = clock; }

 private:
  std::filesystem::path FileOf(int64_t layer, const StatRequest& request) const;
  bool Find(int64_t layer, const StatRequest& request, BlockStatistics& into);
  void Keep(int64_t layer, const BlockStatistics& statistics);

  const ModelSource& model_;
  const CalibrationSet& calibration_;
  Options options_;
  TokenBatches tokens_;
  std::map<int64_t, BlockStatistics> kept_;
  uint64_t kept_bytes_ = 0;
  std::vector<double> influence_;
  std::map<std::string, std::any> derived_;
  double seconds_ = 0;
  PhaseClock* clock_ = nullptr;
};

}  // namespace condense
