// `condense`, queries and keys: which columns stay, and what is done to the queries that remain.
// Keys are only narrowed. Gains commute with the rotation, so they cost nothing at run time.
#include <algorithm>
#include <cmath>

#include "compression/methods/condense_modules.h"
#include "compression/parts/query_key_maps.h"

namespace condense {
namespace {

// By the Gram matrices of queries and keys: the least error over all scores, attended to or not.
HeadMaps MapsByScores(const CondenseOptions& options, const Tensor& q, const Tensor& k, bool rotary,
                      int64_t width) {
  HeadMaps maps;
  const int64_t dense_width = k.size(0), heads = q.size(0);
  if (!rotary && options.gains) {
    const QkSubspaces best = QkBestRank(q.sum(0), k);
    maps.key = best.key.narrow(1, 0, width);
    maps.query.assign(static_cast<size_t>(heads), best.query.narrow(1, 0, width));
    maps.selects_queries = false;
    return maps;
  }
  maps.units = LargestIndices(QkScores(q, k, rotary, PairScore::kExact, GroupScore::kRss),
                              rotary ? width / 2 : width);
  maps.columns = rotary ? PairColumns(maps.units, dense_width) : maps.units;
  maps.key = SelectionMap(maps.columns, dense_width, k.options());
  maps.selects_queries = !options.gains;
  for (int64_t i = 0; i < heads; ++i) {
    if (maps.selects_queries) {
      maps.query.push_back(maps.key);
      continue;
    }
    const Gain gain = ComplexGain(q[i], k, maps.units);
    maps.query.push_back(gain.map);
    maps.damping = std::max(maps.damping, gain.damping);
  }
  return maps;
}

}  // namespace

StatRequests CondenseQueryKeyRequests(const CondenseOptions&) {
  return {HeadGram(Tap::kQueryRotated), HeadGram(Tap::kKeyRotated)};
}

ModuleReport NarrowQueryKey(const CondenseContext& context, const BlockStatistics& dense,
                            int64_t width, Block& block) {
  const int64_t dense_width = context.model.head_dim;
  const std::vector<HeadConfig> heads = block.attention.heads;
  ModuleReport report{.widths = std::vector<int64_t>(heads.size(), width)};
  if (width == dense_width) return report;
  const bool rotary = context.model.HasRope();
  const Device device = block.attention.q.weight.device();
  const Tensor q = dense.Get(HeadGram(Tap::kQueryRotated)).to(device);
  const Tensor k = dense.Get(HeadGram(Tap::kKeyRotated)).to(device);
  std::vector<HeadMaps> maps;
  int64_t first = 0;
  double error = 0, norm = 0;
  for (size_t j = 0; j < heads.size(); ++j) {
    const Tensor own_k = k[static_cast<int64_t>(j)], own_q = q.narrow(0, first, heads[j].queries);
    maps.push_back(MapsByScores(context.options, own_q, own_k, rotary, width));
    first += heads[j].queries;
    report.damping = std::max(report.damping, maps[j].damping);
    const auto base = static_cast<int64_t>(j) * (rotary ? dense_width / 2 : dense_width);
    for (const int64_t unit : maps[j].units) report.kept.push_back(base + unit);
    for (int64_t i = 0; i < heads[j].queries; ++i) {
      const Tensor map = at::matmul(maps[j].query[static_cast<size_t>(i)], maps[j].key.t());
      error += QkMapError(own_q[i], own_k, map);
      norm += QkSquaredNorm(own_q[i], own_k);
    }
  }
  if (norm > 0) report.relative_error = std::sqrt(std::max(0.0, error) / norm);
  ApplyQueryKeyMaps(maps, dense_width, rotary, block.attention);
  return report;
}

}  // namespace condense
