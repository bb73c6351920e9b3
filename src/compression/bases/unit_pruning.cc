#include "compression/bases/unit_pruning.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/system.h"

namespace condense {

void UnitOptions::Validate(const Node& at, Problems& problems) const {
  if (unit == AttentionUnit::kQueryHead && refresh != Refresh::kNone) {
    problems.Add(at,
                 "unit query_head needs refresh: none, since which key/value heads go has to be "
                 "known before anything is pruned");
  }
}

void RefuseDims(const UnitOptions& options, const Node& at, Problems& problems) {
  if (options.unit != AttentionUnit::kDims) return;
  problems.Add(at,
               "unit qk_vo is for methods that look at weights alone: nothing linear reads "
               "queries and keys; use kv_group or query_head");
}

void PooledUnitOptions::Validate(const Node& at, Problems& problems) const {
  UnitOptions::Validate(at, problems);
  if (pooled() && unit == AttentionUnit::kDims) {
    problems.Add(at,
                 "allocation pooled compares units that can go alone; with unit qk_vo all "
                 "key/value heads of a layer keep equally many");
  }
}

std::vector<UnitKind> UnitPruning::kinds() const {
  std::vector<UnitKind> kinds;
  if (setup_.options.modules.attention) kinds = AttentionKinds(setup_.options.unit);
  if (setup_.options.modules.mlp) kinds.push_back(UnitKind::kMlp);
  return kinds;
}

StatRequests UnitPruning::RequestsOf(UnitKind kind) const {
  const std::optional<Tap> tap = ConsumerTap(kind);
  if (!tap) return {};
  StatRequests requests = SelectorOf(kind).Requests(*tap);
  requests.merge(setup_.options.refit.Requests(*tap));
  return requests;
}

// --- Plan ----------------------------------------------------------------------------------------

namespace {

// The modules that a unit of this kind belongs to.
std::vector<Module> ModulesOf(UnitKind kind) {
  switch (kind) {
    case UnitKind::kMlp:
      return {Module::kMlp};
    case UnitKind::kQueryKey:
      return {Module::kQk};
    case UnitKind::kValueOutput:
      return {Module::kVo};
    case UnitKind::kGroups:
    case UnitKind::kQueryHeads:
      return {Module::kQk, Module::kVo};
  }
  return {};
}

double RemovedFrom(UnitKind kind, const ModuleSparsity& layer, const ModelConfig& dense) {
  double removed = 0, whole = 0;
  for (const Module module : ModulesOf(kind)) {
    const double share = ModuleShare(dense, module);
    removed += share * layer.of(module);
    whole += share;
  }
  return removed / whole;
}

// As RoundWidths, for units whose cost depends on how many stay: costs[l][k - 1] for k kept units
// of layer l, ascending.
std::vector<int64_t> RoundCosts(const std::vector<double>& removed, double dense,
                                const std::vector<std::vector<double>>& costs, RoundingMode mode) {
  std::vector<int64_t> kept;
  double carry = 0;
  for (size_t l = 0; l < removed.size(); ++l) {
    const std::vector<double>& cost = costs[l];
    const double target = (1 - removed[l]) * dense, wanted = (target + carry) * (1 + 1e-12);
    // The largest number that fits, or the next one.
    size_t below =
        static_cast<size_t>(std::upper_bound(cost.begin(), cost.end(), wanted) - cost.begin());
    below = std::max<size_t>(below, 1) - 1;
    const bool is_last = below + 1 == cost.size();
    const bool exact = std::abs(cost[below] - wanted) <= 1e-9 * dense;
    const bool up =
        !is_last && wanted > cost[below] &&
        (mode == RoundingMode::kCeil    ? !exact
         : mode == RoundingMode::kFloor ? false
                                        : cost[below + 1] - wanted <= wanted - cost[below]);
    const size_t k = up ? below + 1 : below;
    kept.push_back(static_cast<int64_t>(k) + 1);
    if (mode == RoundingMode::kCarry) carry += target - cost[k];
  }
  return kept;
}

}  // namespace

const std::vector<std::vector<Indices>>& UnitPruning::QueryHeadChoices(
    const PlanContext& context) const {
  const auto make = [&] {
    const ModelConfig& dense = context.dense();
    const UnitKind kind = UnitKind::kQueryHeads;
    std::vector<std::vector<Indices>> choices;
    context.statistics().ForEachLayer(
        RequestsOf(kind), [&](int64_t l, const BlockStatistics& statistics) {
          const Block block = context.statistics().LoadBlock(l);
          const auto inputs = ChoicesOf(kind, dense, block, statistics,
                                        MakeLayerRandom(context.seed(), UnitKindName(kind), l));
          choices.emplace_back();
          for (int64_t k = 1; k <= dense.num_heads; ++k) {
            choices.back().push_back(SelectorOf(kind).Select(inputs[0], k));
          }
        });
    return choices;
  };
  return context.statistics().Derived<std::vector<std::vector<Indices>>>(
      fmt::format("query heads {} {}", context.seed(), setup_.key), make);
}

std::vector<UnitPruning::Counts> UnitPruning::AllocatedCounts(const PlanContext& context,
                                                              const Allocation& allocation) const {
  const ModelConfig& dense = context.dense();
  const RoundingMode mode = setup_.options.rounding;
  std::vector<Counts> counts(allocation.size());
  double left_over = 0;  // parameters that the attention should still have
  for (const UnitKind kind : kinds()) {
    std::vector<double> removed;
    for (const ModuleSparsity& layer : allocation) {
      removed.push_back(RemovedFrom(kind, layer, dense));
    }
    const auto whole = static_cast<double>(TotalCost(kind, dense));
    if (kind == UnitKind::kMlp && mode == RoundingMode::kCarry) {
      // Heads are coarse: the channels of all MLPs together make up for their rounding.
      const double shift = left_over / whole / static_cast<double>(removed.size());
      for (double& fraction : removed) fraction = std::clamp(fraction - shift, 0.0, 1.0);
    }
    std::vector<std::vector<double>> costs;
    if (kind == UnitKind::kQueryHeads) {
      for (const std::vector<Indices>& layer : QueryHeadChoices(context)) {
        costs.emplace_back();
        for (const Indices& kept : layer) {
          costs.back().push_back(static_cast<double>(QueryHeadsCost(kept, dense)));
        }
      }
    }
    const std::vector<int64_t> kept = costs.empty()
                                          ? RoundWidths(removed, UnitCount(kind, dense), 1, mode)
                                          : RoundCosts(removed, whole, costs, mode);
    for (size_t l = 0; l < kept.size(); ++l) {
      counts[l].push_back(kept[l]);
      const double cost = costs.empty() ? static_cast<double>(kept[l] * UnitCost(kind, dense))
                                        : costs[l][static_cast<size_t>(kept[l] - 1)];
      left_over += (1 - removed[l]) * whole - cost;
    }
  }
  return counts;
}

Ranking UnitPruning::Rank(UnitKind kind, const ChannelInput& input, int64_t) const {
  const auto* scoring = dynamic_cast<const ScoringSelector*>(&SelectorOf(kind));
  CONDENSE_CHECK(scoring != nullptr, "units without scores cannot be pooled");
  Tensor scores = scoring->ChannelScores(input);
  const double deviation = scores.std().item<double>();
  scores = deviation > 0 ? (scores - scores.mean()) / deviation : at::zeros_like(scores);
  scores = input.SumOverUnits(scores).cpu().contiguous();
  if (input.units.defined()) scores = scores / static_cast<double>(input.units.size(1));
  const double* score = scores.const_data_ptr<double>();
  Ranking ranking;
  ranking.order.resize(static_cast<size_t>(scores.numel()));
  std::iota(ranking.order.begin(), ranking.order.end(), int64_t{0});
  std::stable_sort(ranking.order.begin(), ranking.order.end(),
                   [&](int64_t a, int64_t b) { return score[a] < score[b]; });
  for (const int64_t unit : ranking.order) ranking.priority.push_back(score[unit]);
  return ranking;
}

std::vector<UnitPruning::PooledRemoval> UnitPruning::PooledRemovals(
    const PlanContext& context) const {
  const ModelConfig& dense = context.dense();
  struct Queue {  // of one kind in one layer; its last unit is never offered
    int64_t layer = 0;
    size_t kind = 0;  // index in kinds()
    std::vector<double> priority;
    std::vector<double> costs;  // of each removal
    size_t next = 0;
  };
  std::vector<Queue> queues;
  StatRequests requests;
  for (const UnitKind kind : kinds()) requests.merge(RequestsOf(kind));
  context.statistics().ForEachLayer(requests, [&](int64_t l, const BlockStatistics& statistics) {
    const Block block = context.statistics().LoadBlock(l);
    for (size_t p = 0; p < kinds().size(); ++p) {
      const UnitKind kind = kinds()[p];
      const auto inputs = ChoicesOf(kind, dense, block, statistics,
                                    MakeLayerRandom(context.seed(), UnitKindName(kind), l));
      CONDENSE_CHECK(inputs.size() == 1, "dims cannot be pooled");
      const Ranking ranking = Rank(kind, inputs[0], UnitCost(kind, dense));
      Queue queue{.layer = l, .kind = p, .priority = ranking.priority};
      queue.priority.resize(static_cast<size_t>(UnitCount(kind, dense) - 1));
      queue.costs.assign(queue.priority.size(), static_cast<double>(UnitCost(kind, dense)));
      queues.push_back(std::move(queue));
    }
  });
  for (Queue& queue : queues) {
    if (kinds()[queue.kind] != UnitKind::kQueryHeads) continue;
    const auto& kept = QueryHeadChoices(context)[static_cast<size_t>(queue.layer)];
    for (size_t i = 0; i < queue.costs.size(); ++i) {
      const size_t k = kept.size() - i;  // before this removal
      queue.costs[i] = static_cast<double>(QueryHeadsCost(kept[k - 1], dense) -
                                           QueryHeadsCost(kept[k - 2], dense));
    }
  }
  std::vector<PooledRemoval> removals;
  double removed = 0;
  while (true) {
    Queue* least = nullptr;
    for (Queue& queue : queues) {
      if (queue.next == queue.priority.size()) continue;
      if (least == nullptr || queue.priority[queue.next] < least->priority[least->next]) {
        least = &queue;
      }
    }
    if (least == nullptr) return removals;
    removed += least->costs[least->next++];
    removals.push_back({.layer = least->layer, .kind = least->kind, .removed = removed});
  }
}

std::vector<UnitPruning::Counts> UnitPruning::PooledCounts(const PlanContext& context,
                                                           double nominal) const {
  const ModelConfig& dense = context.dense();
  const auto& removals = context.statistics().Derived<std::vector<PooledRemoval>>(
      fmt::format("pooled removals {} {}", context.seed(), setup_.key),
      [&] { return PooledRemovals(context); });
  Counts full;
  for (const UnitKind kind : kinds()) full.push_back(UnitCount(kind, dense));
  std::vector<Counts> counts(static_cast<size_t>(dense.num_layers()), full);
  const double target = nominal * static_cast<double>(CountParameters(dense).block);
  double removed = 0;
  size_t gone = 0;
  for (; gone < removals.size() && removed < target * (1 - 1e-12); ++gone) {
    removed = removals[gone].removed;
    --counts[static_cast<size_t>(removals[gone].layer)][removals[gone].kind];
  }
  if (setup_.options.rounding != RoundingMode::kCarry) return counts;
  // A head may have been more than was asked for: the channels that went last come back.
  double too_much = removed - target * (1 - 1e-12);
  const auto channel = static_cast<double>(UnitCost(UnitKind::kMlp, dense));
  while (gone > 0 && too_much >= channel) {
    const PooledRemoval& removal = removals[--gone];
    if (kinds()[removal.kind] != UnitKind::kMlp) continue;
    ++counts[static_cast<size_t>(removal.layer)][removal.kind];
    too_much -= channel;
  }
  return counts;
}

void UnitPruning::Narrow(const PlanContext& context, const std::vector<Counts>& counts,
                         ModelConfig& config) const {
  const ModelConfig& dense = context.dense();
  const bool intercept = setup_.options.refit.bias == RefitBias::kIntercept;
  for (size_t l = 0; l < counts.size(); ++l) {
    LayerConfig& layer = config.layers[l];
    for (size_t p = 0; p < counts[l].size(); ++p) {
      const UnitKind kind = kinds()[p];
      const int64_t kept = counts[l][p];
      if (kept == UnitCount(kind, dense)) continue;
      if (kind == UnitKind::kQueryHeads) {
        NarrowLayerToQueryHeads(QueryHeadChoices(context)[l][static_cast<size_t>(kept - 1)], layer);
      } else {
        NarrowLayer(kind, dense, kept, layer);
      }
      if (!intercept || !ConsumerTap(kind)) continue;
      layer.linears[kind == UnitKind::kMlp ? Role::kDown : Role::kOutput].bias = true;
    }
  }
}

Plan UnitPruning::MakePlan(const PlanContext& context, double nominal) const {
  Plan plan{.config = context.dense().Derived(), .allocation = {}};
  if (setup_.pooled) {
    Narrow(context, PooledCounts(context, nominal), plan.config);
    return plan;
  }
  plan.allocation = context.Allocate(nominal);
  for (ModuleSparsity& layer : plan.allocation) {
    if (!setup_.options.modules.mlp) layer.mlp = 0;
    if (!setup_.options.modules.attention) layer.qk = layer.vo = 0;
  }
  Narrow(context, AllocatedCounts(context, plan.allocation), plan.config);
  return plan;
}

// --- Pruning -------------------------------------------------------------------------------------

int64_t UnitPruning::PlannedUnits(UnitKind kind, const ModelConfig& dense,
                                  const LayerConfig& plan) const {
  switch (kind) {
    case UnitKind::kGroups:
      return static_cast<int64_t>(plan.heads.size());
    case UnitKind::kQueryHeads:
      return plan.OutputWidth() / dense.head_dim;
    case UnitKind::kQueryKey:
      return plan.heads.front().qk_width / (dense.HasRope() ? 2 : 1);
    case UnitKind::kValueOutput:
      return plan.heads.front().vo_width;
    case UnitKind::kMlp:
      return plan.mlp_width;
  }
  return 0;
}

std::vector<Indices> UnitPruning::Select(UnitKind kind, const std::vector<ChannelInput>& choices,
                                         int64_t count) const {
  std::vector<Indices> kept;
  for (const ChannelInput& choice : choices) {
    kept.push_back(count == choice.count() ? Complement({}, count)
                                           : SelectorOf(kind).Select(choice, count));
  }
  return kept;
}

void UnitPruning::Prune(UnitKind kind, const CompressionJob& job, const BlockStatistics& statistics,
                        BlockTask& task) const {
  const Stopwatch watch;
  const ModelConfig& dense = job.dense().config();
  const int64_t count = PlannedUnits(kind, dense, task.plan);
  const std::vector<Indices> kept =
      Select(kind,
             ChoicesOf(kind, dense, *task.dense, statistics,
                       job.MakeRandom(UnitKindName(kind), task.layer)),
             count);
  ModuleReport report =
      KeepUnits({kind, dense, kept, setup_.options.refit}, statistics, task.block);
  report.seconds = watch.Seconds();
  task.report->modules[UnitKindName(kind)] = std::move(report);
}

StatRequests UnitPruning::FirstRequests() const {
  StatRequests requests;
  for (const UnitKind kind : kinds()) {
    if (refreshes_within() && kind == UnitKind::kMlp) continue;
    requests.merge(RequestsOf(kind));
  }
  return requests;
}

StatRequests UnitPruning::DenseRequests(const ModelConfig&) const {
  return setup_.options.refresh == Refresh::kNone ? FirstRequests() : StatRequests();
}

void UnitPruning::Compress(CompressionJob& job) const {
  const BlockLoop loop{.requests = FirstRequests(), .refresh = setup_.options.refresh};
  job.ForEachBlock(loop, [&](BlockTask& task) {
    for (const UnitKind kind : kinds()) {
      const bool narrows = PlannedUnits(kind, job.dense().config(), task.plan) <
                           UnitCount(kind, job.dense().config());
      if (refreshes_within() && kind == UnitKind::kMlp && narrows) {
        Prune(kind, job, task.Collect(RequestsOf(kind)), task);
      } else {
        Prune(kind, job, *task.stats, task);
      }
    }
  });
}

// --- Trials --------------------------------------------------------------------------------------

std::vector<ModuleGroup> UnitPruning::ModuleGroups() const {
  std::vector<ModuleGroup> groups;
  for (const UnitKind kind : kinds()) groups.push_back({UnitKindName(kind), ModulesOf(kind)});
  return groups;
}

StatRequests UnitPruning::TrialRequests(const ModelConfig&) const {
  StatRequests requests;
  for (const UnitKind kind : kinds()) requests.merge(RequestsOf(kind));
  return requests;
}

void UnitPruning::CompressAlone(const TrialInput& input, const ModuleGroup& group,
                                const std::vector<double>& removed,
                                const std::function<void(const TrialBlock& made)>& use) const {
  const std::vector<UnitKind> all = kinds();
  const UnitKind kind = *std::find_if(all.begin(), all.end(), [&](UnitKind candidate) {
    return UnitKindName(candidate) == group.name;
  });
  const auto choices = ChoicesOf(kind, input.model, input.dense, input.statistics,
                                 MakeLayerRandom(0, UnitKindName(kind), input.layer));
  for (const double fraction : removed) {
    const int64_t count =
        RoundWidths({fraction}, UnitCount(kind, input.model), 1, RoundingMode::kNearest).front();
    TrialBlock made{.block = input.dense, .kept_channels = {}};
    ModuleReport report =
        KeepUnits({kind, input.model, Select(kind, choices, count), setup_.options.refit},
                  input.statistics, made.block);
    if (kind == UnitKind::kMlp) made.kept_channels = std::move(report.kept);
    use(made);
  }
}

}  // namespace condense
