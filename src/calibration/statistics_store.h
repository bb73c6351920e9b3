// Statistics of the dense model over one calibration set. They are computed once and shared by all
// ratios of a method, all methods and the allocators.
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
    // Finished statistics are also stored here, one file per layer and request, and read by later
    // runs of the program. The folder is keyed by the digests of model and calibration set.
    std::optional<std::filesystem::path> folder;
    // Where statistics wait that were announced but do not fit into memory; made when it is needed
    // and removed with the store. Without it, or `folder`, they are computed when they are asked
    // for, in a forward pass of their own.
    std::optional<std::filesystem::path> scratch;
    // Statistics beyond this many bytes are dropped from memory after use.
    uint64_t memory_bytes = uint64_t{2} << 30;
    // A statistic of a layer that takes no more than this is always kept: influence, means, metrics
    // of heads.
    uint64_t small_bytes = uint64_t{8} << 20;
    GramMath gram_math = GramMath::kFloat32;
  };
  // Both must outlive the store.
  StatisticsStore(const ModelSource& model, const CalibrationSet& calibration, Options options);
  ~StatisticsStore();
  StatisticsStore(const StatisticsStore&) = delete;

  // Says what will be asked for later: a forward pass that is made for something else collects
  // these too, if there is room to keep them.
  void Announce(const StatRequests& requests);
  // Nobody will ask for these again after the next pass over them.
  void Withdraw(const StatRequests& requests);

  // Calls fn for each layer in turn. Missing statistics are computed in one streamed forward pass;
  // beyond what Options allow to keep, one block and its statistics are in memory at a time.
  void ForEachLayer(
      const StatRequests& requests,
      const std::function<void(int64_t layer, const BlockStatistics& statistics)>& fn);
  // Takes over statistics that were made elsewhere: those of a part of the set are the same as here
  // where a request looks at sequences of that part alone.
  void Adopt(int64_t layer, const BlockStatistics& statistics) { Keep(layer, statistics); }
  // The block of a layer: the one that the pass of ForEachLayer runs at the moment, else loaded.
  Block LoadBlock(int64_t layer) const;
  // Block influence of each layer.
  const std::vector<double>& Influence();
  // The result of Influence() if it was called before; else empty.
  const std::vector<double>& known_influence() const { return influence_; }

  // For results that depend on the model and this calibration set alone and are expensive to
  // compute, such as an order of removal: `make` runs at the first call with this key. The caller
  // may extend what is stored.
  template <class T>
  T& Derived(const std::string& key, const std::function<T()>& make) {
    std::any& kept = derived_[key];
    if (!kept.has_value()) kept = make();
    return std::any_cast<T&>(kept);
  }

  // The same for named tensors, which are also stored on disk if the statistics are. The key names
  // everything that they depend on besides the model and the calibration set.
  using Tensors = std::map<std::string, Tensor>;
  const Tensors& DerivedTensors(const std::string& key, const std::function<Tensors()>& make);

  const ModelSource& model() const { return model_; }
  const Options& options() const { return options_; }
  const CalibrationSet& calibration() const { return calibration_; }
  const TokenBatches& tokens() const { return tokens_; }
  GramMath gram_math() const { return options_.gram_math; }
  int64_t passes() const { return passes_; }   // forward passes over all blocks so far
  double seconds() const { return seconds_; }  // spent in forward passes so far
  // Counts forward passes as the phase "statistics"; may be null.
  PhaseClock* clock() const { return clock_; }
  void set_clock(PhaseClock* clock) { clock_ = clock; }

 private:
  // Of a statistic in `folder` or, failing that, in `scratch`.
  std::filesystem::path FileOf(int64_t layer, const StatRequest& request) const;
  bool OnDisk(int64_t layer, const StatRequest& request) const;
  bool Has(int64_t layer, const StatRequest& request) const;
  bool Find(int64_t layer, const StatRequest& request, BlockStatistics& into);
  // Those that some layer lacks: one pass computes them in all.
  StatRequests Missing(const StatRequests& requests) const;
  // Announced requests that a pass which is made now collects as well.
  StatRequests Besides() const;
  BlockStatistics Collect(int64_t layer, const StatRequests& requests, ActivationStream& stream);
  void Keep(int64_t layer, const BlockStatistics& statistics);

  const ModelSource& model_;
  const CalibrationSet& calibration_;
  Options options_;
  TokenBatches tokens_;
  std::map<int64_t, BlockStatistics> kept_;
  uint64_t kept_bytes_ = 0;
  StatRequests announced_;
  int64_t passes_ = 0;
  std::vector<double> influence_;
  std::map<std::string, std::any> derived_;
  std::optional<std::pair<int64_t, Block>> running_;  // with its layer
  double seconds_ = 0;
  PhaseClock* clock_ = nullptr;
};

}  // namespace condense
