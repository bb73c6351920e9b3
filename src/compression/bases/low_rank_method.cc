#include "compression/bases/low_rank_method.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/system.h"
#include "compression/linear_inputs.h"

namespace condense {

std::vector<std::optional<int64_t>> KeptRanks(const MatrixShape& shape,
                                              const std::vector<double>& kept,
                                              const LowRankOptions& options) {
  const auto out = static_cast<double>(shape.out), in = static_cast<double>(shape.in);
  const auto multiple = static_cast<double>(options.rank_multiple);
  const double even = in * out / (in + out);  // two factors of this rank are as large as the matrix
  // Differences of 1e-9 are rounding of the fractions, not intent.
  constexpr double kTolerance = 1e-9;
  std::vector<std::optional<int64_t>> ranks;
  double carry = 0;
  for (const double fraction : kept) {
    if (fraction >= 1 - kTolerance) {
      ranks.emplace_back();
      continue;
    }
    if (multiple >= even) {
      throw MakeError<ConfigError>(
          "rank_multiple is {}, but two factors of a map of {} x {} are no smaller from rank "
          "{:.0f} on",
          options.rank_multiple, shape.in, shape.out, std::ceil(even));
    }
    const double target = fraction * even / multiple + carry;
    const double units =
        std::clamp(std::floor(target + kTolerance), 1.0, std::ceil(even / multiple) - 1);
    if (options.rounding == RankRounding::kCarry) carry = target - units;
    ranks.emplace_back(options.rank_multiple * static_cast<int64_t>(units));
  }
  return ranks;
}

ModelConfig FactoredConfig(const ModelConfig& dense, const Allocation& allocation,
                           const LowRankOptions& options) {
  CONDENSE_CHECK(allocation.size() == dense.layers.size(), "{} layers allocated",
                 allocation.size());
  ModelConfig config = dense.Derived();
  for (const Role role : LinearRoles(dense)) {
    std::vector<double> kept;
    for (const ModuleSparsity& layer : allocation) kept.push_back(1 - layer.of(ModuleOf(role)));
    const auto ranks = KeptRanks(LinearShape(dense.layers.at(0), role), kept, options);
    for (size_t l = 0; l < ranks.size(); ++l) {
      config.layers[l].linears[role].rank = ranks[l];
    }
  }
  return config;
}

void ReplaceByFactors(const LowRank& factors, Linear& linear) {
  const DType dtype = linear.weight.scalar_type();
  linear.a = factors.a.t().to(dtype).contiguous();
  linear.b = factors.b.t().to(dtype).contiguous();
  linear.weight = Tensor();
}

Plan LowRankMethod::MakePlan(const PlanContext& context, double nominal) const {
  Allocation allocation = context.Allocate(nominal);
  ModelConfig config = FactoredConfig(context.dense(), allocation, options_);
  return {std::move(config), std::move(allocation)};
}

StatRequests LowRankMethod::Requests() const {
  const auto kind = InputStatistic();
  return kind ? InputStatistics(*kind) : StatRequests();
}

void LowRankMethod::Compress(CompressionJob& job) const {
  job.ForEachBlock({.requests = Requests()}, [&](BlockTask& task) {
    FactorBlock(task.layer, task.plan, *task.stats, task.block, *task.report);
  });
}

void LowRankMethod::FactorBlock(int64_t layer, const LayerConfig& plan,
                                const BlockStatistics& statistics, Block& block,
                                LayerReport& report) const {
  const std::optional<StatKind> kind = InputStatistic();
  std::map<Tap, Whitening> whitenings;  // maps of one input share theirs
  for (const Role role : kRoles) {
    if (!plan.linears[role].rank) continue;
    const int64_t rank = *plan.linears[role].rank;
    const Stopwatch watch;
    const Tap tap = InputTap(role);
    Linear& linear = block.LinearOf(role);
    const Tensor w = linear.weight.t().to(kF64);  // [in, out]
    if (whitenings.count(tap) == 0) {
      Tensor statistic;
      if (kind) statistic = statistics.Get({tap, *kind}).to(w.device());
      whitenings[tap] =
          WhiteningOf(statistic, fmt::format("layer {}, inputs {}", layer, TapName(tap)));
    }
    const Whitening& whitening = whitenings[tap];
    const LowRank factors =
        Factorise(w, whitening, rank, fmt::format("layer {}, weight of {}", layer, RoleName(role)));
    ReplaceByFactors(factors, linear);
    ModuleReport& made = report.modules[RoleName(role)];
    made.widths = {rank};
    made.damping = whitening.damping();
    made.condition = whitening.condition();
    if (factors.squared_norm > 0) {
      made.relative_error = std::sqrt(factors.squared_error / factors.squared_norm);
    }
    made.seconds = watch.Seconds();
  }
}

std::vector<ModuleGroup> LowRankMethod::ModuleGroups() const {
  std::vector<ModuleGroup> groups;
  for (const Module module : kModules) groups.push_back({ModuleName(module), {module}});
  return groups;
}

void LowRankMethod::CompressAlone(const TrialInput& input, const ModuleGroup& group,
                                  const std::vector<double>& removed,
                                  const std::function<void(const TrialBlock& made)>& use) const {
  for (const double fraction : removed) {
    ModuleSparsity alone;
    alone.of(group.modules.front()) = fraction;
    const ModelConfig plan =
        FactoredConfig(input.model, Allocation(input.model.layers.size(), alone), options_);
    TrialBlock made{.block = input.dense, .kept_channels = {}};
    LayerReport report;
    FactorBlock(input.layer, plan.layers.front(), input.statistics, made.block, report);
    use(made);
  }
}

}  // namespace condense
