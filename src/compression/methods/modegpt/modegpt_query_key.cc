// MoDeGPT type II: keep query/key columns by the CR decomposition, pairs of columns with RoPE
// (methods.md 1.3), with the optional gains on what is kept.
#include <algorithm>
#include <cmath>

#include "compression/bases/module_pairs.h"
#include "compression/bases/query_key_maps.h"
#include "compression/methods/modegpt/modegpt_modules.h"

namespace condense {
namespace {

// Gram matrices of one key/value head and of the query heads that it serves.
struct HeadGrams {
  Tensor q;  // [g, d_h, d_h]
  Tensor k;  // [d_h, d_h]
};

// How one key/value head could be narrowed.
struct Candidate {
  Tensor scores;  // of its units: pairs with RoPE, else dimensions; undefined for subspaces
  QkSubspaces subspaces;
  // What the units bring, in the order in which they are kept.
  Tensor Gains() const {
    return scores.defined() ? std::get<0>(scores.sort(0, /*descending=*/true)) : subspaces.spectrum;
  }
};

class QueryKey {
 public:
  explicit QueryKey(const ModuleInput& input)
      : input_(input),
        attention_(input.dense.attention),
        rope_(input.model.HasRope()),
        gain_(input.options.GainFor(input.model)),
        width_(input.model.head_dim) {
    const bool pre = input.options.qk_stat == QkStat::kPreRope;
    const Tensor q = StatisticOf(input, HeadGram(pre ? Tap::kQuery : Tap::kQueryRotated));
    const Tensor k = StatisticOf(input, HeadGram(pre ? Tap::kKey : Tap::kKeyRotated));
    int64_t query = 0;
    for (size_t j = 0; j < attention_.heads.size(); ++j) {
      const int64_t g = attention_.heads[j].queries;
      grams_.push_back({q.narrow(0, query, g), k[static_cast<int64_t>(j)]});
      query += g;
    }
  }

  ModuleReport Compress(int64_t columns, Block& block) const {
    std::vector<Candidate> candidates;
    for (const HeadGrams& grams : grams_) candidates.push_back(CandidateOf(grams));
    const std::vector<int64_t> widths = Widths(candidates, columns);
    std::vector<HeadMaps> maps;
    for (size_t j = 0; j < widths.size(); ++j) {
      maps.push_back(MapsOf(grams_[j], candidates[j], widths[j]));
    }
    ApplyQueryKeyMaps(maps, width_, rope_, block.attention);
    return Report(maps, widths);
  }

 private:
  int64_t unit() const { return rope_ ? 2 : 1; }  // columns per unit

  Candidate CandidateOf(const HeadGrams& grams) const {
    if (gain_ == QkGain::kSvd)
      return {.scores = {}, .subspaces = QkBestRank(grams.q.sum(0), grams.k)};
    const ModeGptOptions& options = input_.options;
    return {.scores = QkScores(grams.q, grams.k, rope_, options.qk_pair_score, options.qk_group),
            .subspaces = {}};
  }

  // Of each key/value head.
  std::vector<int64_t> Widths(const std::vector<Candidate>& candidates, int64_t columns) const {
    return HeadWidths(input_.options.head_budget,
                      {.heads = static_cast<int64_t>(candidates.size()),
                       .width = width_,
                       .unit = unit(),
                       .step = input_.options.RoundingFor(input_.model).qk_unit},
                      columns, [&](size_t j) { return candidates[j].Gains(); });
  }

  HeadMaps MapsOf(const HeadGrams& grams, const Candidate& candidate, int64_t width) const {
    const auto options = grams.k.options();
    HeadMaps maps;
    const int64_t units = width_ / unit();
    if (gain_ == QkGain::kSvd && width < width_) {
      maps.key = candidate.subspaces.key.narrow(1, 0, width);
      maps.query.assign(static_cast<size_t>(grams.q.size(0)),
                        candidate.subspaces.query.narrow(1, 0, width));
      maps.selects_queries = false;
      return maps;
    }
    maps.units = candidate.scores.defined() ? LargestIndices(candidate.scores, width / unit())
                                            : Complement({}, units);
    maps.columns = rope_ ? PairColumns(maps.units, width_) : maps.units;
    maps.key = SelectionMap(maps.columns, width_, options);
    maps.selects_queries = gain_ == QkGain::kNone || width == width_;
    for (int64_t i = 0; i < grams.q.size(0); ++i) {
      if (maps.selects_queries) {
        maps.query.push_back(maps.key);
        continue;
      }
      const Gain gain = gain_ == QkGain::kComplex ? ComplexGain(grams.q[i], grams.k, maps.units)
                                                  : CoreGain(grams.q[i], grams.k, maps.units);
      maps.query.push_back(gain.map);
      maps.damping = std::max(maps.damping, gain.damping);
    }
    return maps;
  }

  ModuleReport Report(const std::vector<HeadMaps>& maps, std::vector<int64_t> widths) const {
    ModuleReport report{.widths = std::move(widths)};
    double error = 0, norm = 0;
    for (size_t j = 0; j < maps.size(); ++j) {
      const auto base = static_cast<int64_t>(j) * width_ / unit();
      for (const int64_t unit : maps[j].units) report.kept.push_back(base + unit);
      report.damping = std::max(report.damping, maps[j].damping);
      for (size_t i = 0; i < maps[j].query.size(); ++i) {
        const Tensor q = grams_[j].q[static_cast<int64_t>(i)];
        const Tensor map = at::matmul(maps[j].query[i], maps[j].key.t());
        error += QkMapError(q, grams_[j].k, map);
        norm += QkSquaredNorm(q, grams_[j].k);
      }
    }
    if (norm > 0) report.relative_error = std::sqrt(error / norm);
    return report;
  }

  const ModuleInput& input_;
  const Attention& attention_;
  bool rope_;
  QkGain gain_;
  int64_t width_;  // dense width of a head
  std::vector<HeadGrams> grams_;
};

}  // namespace

StatRequests QueryKeyRequests(const ModeGptOptions& options) {
  // Without RoPE the two taps are the same.
  if (options.qk_stat == QkStat::kPreRope) return {HeadGram(Tap::kQuery), HeadGram(Tap::kKey)};
  return {HeadGram(Tap::kQueryRotated), HeadGram(Tap::kKeyRotated)};
}

ModuleReport CompressQueryKey(const ModuleInput& input, int64_t width, Block& block) {
  if (width == DenseWidth(input.model, Module::kQk)) {
    return {.widths =
                std::vector<int64_t>(input.dense.attention.heads.size(), input.model.head_dim)};
  }
  return QueryKey(input).Compress(width, block);
}

}  // namespace condense
