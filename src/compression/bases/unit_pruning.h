// Pruning of whole units: one class for all methods that differ in their scores (methods.md
// 5.4-5.7). A method is a selector and the defaults of its publication; how many units stay comes
// from an allocator, layer by layer, or from one list of the units of all layers; what reads them
// may be refitted. The weights that stay are otherwise untouched.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "compression/bases/method_key.h"
#include "compression/bases/option_names.h"
#include "compression/bases/units.h"
#include "compression/compressor.h"
#include "compression/selectors/channel_selector.h"
#include "config/registry.h"

namespace condense {

struct UnitModules {
  bool mlp = true, attention = true;
  template <class V>
  void Fields(V&& field) {
    field("mlp", mlp, "prune channels of the MLP");
    field("attention", attention, "prune the attention");
  }
  void Validate(const Node& at, Problems& problems) const {
    if (!mlp && !attention) problems.Add(at, "at least one module must be pruned");
  }
};

struct UnitOptions {
  AttentionUnit unit = AttentionUnit::kGroup;
  UnitModules modules;
  ConsumerRefitOptions refit;
  Refresh refresh = Refresh::kNone;
  RoundingMode rounding = RoundingMode::kCarry;

  template <class V>
  void Fields(V&& field) {
    field("unit", unit,
          "of attention: a key/value head with its query heads, a query head, or rotary pairs and "
          "value channels");
    field("modules", modules, "what is pruned; the rest stays as it is");
    refit.Fields(field);
    field("refresh", refresh,
          "inputs of the statistics: dense model, pruned blocks below, and again within a block");
    field("rounding", rounding,
          "how fractions become kept units; carry: the MLPs make up for what whole heads leave "
          "over; ceil: floor(ratio x n) units go");
  }
  void Validate(const Node& at, Problems& problems) const;
};

// For selectors that look at what the channels do: nothing linear reads queries and keys.
void RefuseDims(const UnitOptions& options, const Node& at, Problems& problems);

enum class UnitAllocation { kAllocator, kPooled };
template <>
struct EnumNames<UnitAllocation> {
  static constexpr std::array names{std::pair{UnitAllocation::kAllocator, "allocator"},
                                    std::pair{UnitAllocation::kPooled, "pooled"}};
};

// With the choice between an allocator and one list.
struct PooledUnitOptions : UnitOptions {
  UnitAllocation allocation = UnitAllocation::kAllocator;

  template <class V>
  void Fields(V&& field) {
    field("allocation", allocation,
          "how many units each layer keeps: what the allocator says, or what is left of one list "
          "of the units of all layers from which the least important go first");
    UnitOptions::Fields(field);
  }
  void Validate(const Node& at, Problems& problems) const;
  bool pooled() const { return allocation == UnitAllocation::kPooled; }
};

// The order in which the units of one kind would go, with priorities that compare between kinds and
// layers: the smallest go first.
struct Ranking {
  Indices order;
  std::vector<double> priority;  // of order[i]
};

class UnitPruning : public Compressor, public ModuleTrials {
 public:
  struct Setup {
    UnitOptions options;
    bool pooled = false;  // one list over all layers, by Rank()
    SelectorPointer mlp, attention;
    std::string key;  // MethodKey(): results that plans share are cached under it
  };
  explicit UnitPruning(Setup setup) : setup_(std::move(setup)) {}

  bool UsesAllocator() const override { return !setup_.pooled; }
  const char* default_allocator() const override { return "uniform"; }
  Plan MakePlan(const PlanContext& context, double nominal) const override;
  StatRequests DenseRequests(const ModelConfig& dense) const override;
  void Compress(CompressionJob& job) const override;

  // Whole heads take queries, keys, values and outputs with them: they are one group then.
  const ModuleTrials* trials() const override { return this; }
  std::string TrialKey() const override { return setup_.key; }
  std::vector<ModuleGroup> ModuleGroups() const override;
  StatRequests TrialRequests(const ModelConfig& model) const override;
  void CompressAlone(const TrialInput& input, const ModuleGroup& group,
                     const std::vector<double>& removed,
                     const std::function<void(const TrialBlock& made)>& use) const override;

 protected:
  // Only where a method offers `pooled`; `cost`: parameters of a unit. Default: scores of channels,
  // standardised over the units, averaged over each unit.
  virtual Ranking Rank(UnitKind kind, const ChannelInput& input, int64_t cost) const;
  const ChannelSelector& SelectorOf(UnitKind kind) const {
    return kind == UnitKind::kMlp ? *setup_.mlp : *setup_.attention;
  }

 private:
  // Kept units of each kind in a layer.
  using Counts = std::vector<int64_t>;  // in the order of kinds()
  struct PooledRemoval {
    int64_t layer = 0;
    size_t kind = 0;     // index in kinds()
    double removed = 0;  // parameters gone with this unit and all before it
  };

  std::vector<UnitKind> kinds() const;
  bool refreshes_within() const { return setup_.options.refresh == Refresh::kModule; }
  StatRequests RequestsOf(UnitKind kind) const;
  StatRequests FirstRequests() const;  // of a block before any of its units is pruned
  std::vector<Counts> AllocatedCounts(const PlanContext& context,
                                      const Allocation& allocation) const;
  std::vector<Counts> PooledCounts(const PlanContext& context, double nominal) const;
  std::vector<PooledRemoval> PooledRemovals(const PlanContext& context) const;
  // Which query heads stay, by layer and number (index k - 1).
  const std::vector<std::vector<Indices>>& QueryHeadChoices(const PlanContext& context) const;
  void Narrow(const PlanContext& context, const std::vector<Counts>& counts,
              ModelConfig& config) const;
  // Which units of each choice stay.
  std::vector<Indices> Select(UnitKind kind, const std::vector<ChannelInput>& choices,
                              int64_t count) const;
  int64_t PlannedUnits(UnitKind kind, const ModelConfig& dense, const LayerConfig& plan) const;
  void Prune(UnitKind kind, const CompressionJob& job, const BlockStatistics& statistics,
             BlockTask& task) const;

  Setup setup_;
};

}  // namespace condense
