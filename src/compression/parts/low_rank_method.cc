#include "compression/parts/low_rank_method.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/system.h"
#include "compression/linear_inputs.h"

namespace condense {

std::optional<int64_t> KeptRank(const MatrixShape& shape, double kept, int64_t multiple) {
  const auto out = static_cast<double>(shape.out), in = static_cast<double>(shape.in);
  const double even = in * out / (in + out);  // two factors of this rank are as large as the matrix
  if (kept >= 1) return std::nullopt;
  if (static_cast<double>(multiple) >= even) {
    throw MakeError<ConfigError>(
        "rank_multiple is {}, but a map of {} x {} is smaller than its factors from rank {:.0f} on",
        multiple, shape.in, shape.out, std::ceil(even));
  }
  // Differences of 1e-9 are rounding of the fraction, not intent.
  const double units = std::floor(kept * even / static_cast<double>(multiple) + 1e-9);
  const int64_t rank = multiple * std::max<int64_t>(1, static_cast<int64_t>(units));
  if (static_cast<double>(rank) >= even) return std::nullopt;
  return rank;
}

ModelConfig FactoredConfig(const ModelConfig& dense, const Allocation& allocation,
                           int64_t rank_multiple) {
  CONDENSE_CHECK(allocation.size() == dense.layers.size(), "{} layers allocated",
                 allocation.size());
  ModelConfig config = dense.Derived();
  for (size_t l = 0; l < config.layers.size(); ++l) {
    LayerConfig& layer = config.layers[l];
    for (const std::string& role : LinearRoles(dense)) {
      const double kept = 1 - allocation[l].of(ModuleOf(role));
      const auto rank = KeptRank(LinearShape(dense, layer, role), kept, rank_multiple);
      if (rank) layer.low_rank[role] = *rank;
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
  ModelConfig config = FactoredConfig(context.dense(), allocation, options_.rank_multiple);
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
  for (const auto& [role, rank] : plan.low_rank) {
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
        Factorise(w, whitening, rank, fmt::format("layer {}, weight of {}", layer, role));
    ReplaceByFactors(factors, linear);
    ModuleReport& made = report.modules[role];
    made.widths = {rank};
    made.damping = whitening.damping();
    made.condition = whitening.condition();
    if (factors.squared_norm > 0) {
      made.relative_error = std::sqrt(factors.squared_error / factors.squared_norm);
    }
    made.seconds = watch.Seconds();
  }
}

}  // namespace condense
