// The contract of a compression method. A method is one file under methods/.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "calibration/statistics.h"
#include "calibration/statistics_store.h"
#include "compression/allocation.h"
#include "compression/allocator.h"
#include "compression/compressed_stream.h"
#include "compression/module_trials.h"
#include "compression/stream_pair.h"
#include "model/model_source.h"
#include "model/parameters.h"

namespace condense {

// --- Report --------------------------------------------------------------------------------------

// What happened to one module of one layer (methods.md 0.5 rule 8).
struct ModuleReport {
  std::vector<int64_t> widths;      // kept width, one for each key/value head (MLP: one)
  std::vector<int64_t> kept;        // indices that were kept, where units were selected
  double damping = 0;               // largest damping that a factorisation needed
  std::optional<double> condition;  // of the matrix that was solved
  // ||dense - compressed||_F / ||dense||_F of the module on the calibration set, or in the norm
  // that the method minimises where it looks at less of its inputs.
  std::optional<double> relative_error;
  double seconds = 0;
};
struct LayerReport {
  int64_t layer = 0;                            // index in the dense model
  std::map<std::string, ModuleReport> modules;  // by ModuleName, or a name that the method gives
};
struct CompressionReport {
  std::vector<LayerReport> layers;
  Allocation allocation;            // empty when the method uses no allocator
  std::vector<double> influence;    // layer scores that were used, if any
  std::vector<ModuleCurve> curves;  // what the allocator measured, if anything
};

// --- Job -----------------------------------------------------------------------------------------

// On what inputs the statistics of a block are taken (methods.md 7.2).
enum class Refresh {
  kNone,    // of the dense model; shared by ratios and methods
  kLayer,   // from compressed blocks below; one collection per block
  kModule,  // as kLayer; the method collects again between modules
};

// One block under compression.
struct BlockTask {
  int64_t layer = 0;                       // position in the dense model
  const Block* dense = nullptr;            // as loaded
  Block block;                             // to be changed; a copy of the dense block at first
  LayerConfig plan;                        // the widths this layer should get
  const BlockStatistics* stats = nullptr;  // of the requests given to ForEachBlock
  LayerReport* report = nullptr;
  const CompressedStream* stream = nullptr;  // that reaches the block; null with Refresh::kNone

  // Statistics of `block` as it is now, on that stream.
  BlockStatistics Collect(const StatRequests& requests) const;
};

struct BlockLoop {
  StatRequests requests;
  Refresh refresh = Refresh::kNone;
  std::function<void(Head& head)> change_head = {};  // after the last block; null: it is copied
};

// Numbers for one layer, independent of the order in which layers are visited.
Random MakeLayerRandom(uint64_t seed, const std::string& purpose, int64_t layer);

// ConfigError if the calibration set has fewer tokens than `channels`, the channels that a layer
// keeps: a selection or a solve needs as many.
void RequireTokensFor(int64_t channels, const StatisticsStore& statistics);

class CompressionJob {
 public:
  CompressionJob(StatisticsStore& statistics, ModelSink& sink, ModelConfig plan, uint64_t seed);

  const ModelSource& dense() const { return statistics_.model(); }
  StatisticsStore& statistics() { return statistics_; }
  ModelSink& sink() { return sink_; }
  // Of the compressed model; the framework finishes the sink with it. ForEachBlock keeps its head
  // widths up to date: within a layer they may differ from the plan.
  ModelConfig& config() { return config_; }
  CompressionReport& report() { return report_; }
  // Independent of the order in which layers are visited.
  Random MakeRandom(const std::string& purpose, int64_t layer = -1) const;

  // Copies the embedding to the sink, calls fn for each block and puts the changed block into the
  // sink, and copies the head: all that a method needs which leaves the width of the residual
  // stream as it is.
  void ForEachBlock(const BlockLoop& loop, const std::function<void(BlockTask&)>& fn);
  // Both streams in front of the first block, for a method that drives them itself beside a loop
  // with Refresh::kNone.
  StreamPair MakeStreams();

 private:
  // ConfigError, or a warning, if the calibration set is small for the plan.
  void RequireEnoughTokens();

  StatisticsStore& statistics_;
  ModelSink& sink_;
  ModelConfig config_;
  uint64_t seed_;
  bool tokens_checked_ = false;
  CompressionReport report_;
};

// --- Method --------------------------------------------------------------------------------------

// What a method may consult while it plans.
class PlanContext {
 public:
  PlanContext(StatisticsStore& statistics, StatisticsStore& scores, const Allocator* allocator,
              const ModuleTrials* trials, uint64_t seed = 0)
      : statistics_(statistics),
        scores_(scores),
        allocator_(allocator),
        trials_(trials),
        seed_(seed) {}
  const ModelConfig& dense() const { return statistics_.model().config(); }
  // The allocation for a fraction of block weights to remove.
  Allocation Allocate(double removed) const;
  // What the allocator measured.
  std::vector<ModuleCurve> Curves() const;
  const std::vector<double>& influence() const { return scores_.Influence(); }
  // The block influence if it was computed, else empty.
  std::vector<double> known_influence() const { return scores_.known_influence(); }
  StatisticsStore& statistics() const { return statistics_; }
  // Over the calibration set that scores the layers; usually the same set.
  StatisticsStore& scores() const { return scores_; }
  uint64_t seed() const { return seed_; }  // of the job that will follow

 private:
  AllocationRequest RequestOf(double removed) const;

  StatisticsStore& statistics_;
  StatisticsStore& scores_;
  const Allocator* allocator_;
  const ModuleTrials* trials_;
  uint64_t seed_;
};

struct Plan {
  ModelConfig config;     // shape of the compressed model
  Allocation allocation;  // empty when no allocator was asked
};

// How a requested ratio is met.
enum class MatchRule {
  kLargestNotAbove,  // the largest model that does not exceed the target
  kNearest,          // the nearest model (depth methods move in whole blocks)
};

class Compressor {
 public:
  static constexpr const char* kKind = "method";
  virtual ~Compressor() = default;

  virtual bool UsesRatio() const { return true; }  // false: one result whatever the ratio
  virtual bool UsesAllocator() const { return false; }
  virtual bool UsesCalibration() const { return true; }
  // The allocator that is used if none is named.
  virtual const char* default_allocator() const { return "block_influence"; }
  virtual MatchRule match_rule() const { return MatchRule::kLargestNotAbove; }
  virtual const ModuleTrials* trials() const { return nullptr; }
  // Statistics of the dense model that Compress() will ask for. A forward pass that is made before,
  // for the plan, collects them too.
  virtual StatRequests DenseRequests(const ModelConfig& /*dense*/) const { return {}; }

  // The shape of the compressed model at the method's own nominal ratio. It must be cheap: the
  // framework calls it repeatedly to find the nominal ratio that achieves the requested one.
  virtual Plan MakePlan(const PlanContext& context, double nominal) const = 0;
  virtual void Compress(CompressionJob& job) const = 0;
};

}  // namespace condense
