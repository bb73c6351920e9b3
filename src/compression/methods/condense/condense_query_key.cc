// `condense`, queries and keys: which columns stay, and what is done to the queries that remain.
//
// With rotary positions pairs of columns are eliminated one by one in the metric of the softmax,
// and complex gains, which commute with the rotation, are folded into the query map. Without, the
// best subspaces are kept, with the keys weighted by the attention that they get. Keys are not
// rescaled. `query_key: scores` looks at all scores alike instead, as MoDeGPT does.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "compression/bases/query_key_maps.h"
#include "compression/methods/condense/condense_modules.h"
#include "compression/solvers/pair_elimination.h"
#include "compression/solvers/query_key.h"

namespace condense {
namespace {

// What is known of one key/value head and of its query heads.
struct HeadScores {
  Tensor metric;  // of pairs, for each query head [g, 2f, 2f]; or undefined and both others:
  Tensor q, k;    // Gram matrices [g, d_h, d_h] and [d_h, d_h]
  std::optional<Elimination> elimination;
  Tensor scores;          // of units, with Gram matrices
  QkSubspaces subspaces;  // in place of scores

  // What the units bring, in the order in which they are kept.
  Tensor Gains() const {
    if (elimination) return GainsOf(*elimination);
    return scores.defined() ? std::get<0>(scores.sort(0, /*descending=*/true)) : subspaces.spectrum;
  }
};

class QueryKeyNarrower final : public ModuleNarrower {
 public:
  QueryKeyNarrower(const CondenseContext& context, const BlockStatistics& dense, const Block& block)
      : options_(context.options),
        gains_(context.options.gains),
        rotary_(context.model.HasRope()),
        width_(context.model.head_dim) {
    const Device device = block.attention.q.weight.device();
    const auto statistic = [&](const StatRequest& request) {
      return dense.Get(request).to(device);
    };
    const bool softmax = context.options.query_key == QkMetric::kSoftmax;
    const int64_t stride = context.options.query_stride;
    Tensor metric, q, k;
    if (softmax && rotary_) {
      metric = statistic(PairMetric(stride, context.options.query_sequences));
    } else {
      q = statistic(HeadGram(Tap::kQueryRotated));
      k = statistic(softmax ? KeyCovariance(stride) : HeadGram(Tap::kKeyRotated));
    }
    std::vector<int64_t> queries;
    for (const HeadConfig& head : block.attention.heads) queries.push_back(head.queries);
    std::vector<Elimination> eliminations;
    if (metric.defined()) eliminations = EliminatePairs(metric, queries);
    int64_t query = 0;
    for (size_t j = 0; j < queries.size(); ++j) {
      const int64_t g = queries[j];
      HeadScores head;
      if (metric.defined()) {
        head.metric = metric.narrow(0, query, g);
        head.elimination = std::move(eliminations[j]);
      } else {
        head.q = q.narrow(0, query, g);
        // Covariances of the keys differ between the query heads that look at them.
        head.k = softmax ? k.narrow(0, query, g).sum(0) : k[static_cast<int64_t>(j)];
        if (!rotary_ && gains_) {
          head.subspaces = QkBestRank(head.q.sum(0), head.k);
        } else {
          head.scores = QkScores(head.q, head.k, rotary_, PairScore::kExact, GroupScore::kRss);
        }
      }
      heads_.push_back(std::move(head));
      query += g;
    }
  }

  ModuleReport Narrow(int64_t width, Block& block) const override {
    ModuleReport report{.widths = Widths(width)};
    if (width == static_cast<int64_t>(heads_.size()) * width_) return report;
    std::vector<HeadMaps> maps;
    double error = 0, norm = 0;
    const int64_t units = width_ / unit();
    for (size_t j = 0; j < heads_.size(); ++j) {
      const HeadScores& head = heads_[j];
      const int64_t kept = report.widths[j] / unit();
      maps.push_back(head.metric.defined() ? MapsByMetric(head, kept, error, norm)
                                           : MapsByGrams(head, kept, error, norm));
      report.damping = std::max(report.damping, maps.back().damping);
      for (const int64_t unit : maps.back().units) {
        report.kept.push_back(static_cast<int64_t>(j) * units + unit);
      }
    }
    if (norm > 0) report.relative_error = std::sqrt(std::max(0.0, error) / norm);
    ApplyQueryKeyMaps(maps, width_, rotary_, block.attention);
    return report;
  }

 private:
  int64_t unit() const { return rotary_ ? 2 : 1; }  // columns per unit

  // Of each key/value head.
  std::vector<int64_t> Widths(int64_t columns) const {
    return HeadWidths(options_.head_budget,
                      {.heads = static_cast<int64_t>(heads_.size()),
                       .width = width_,
                       .unit = unit(),
                       .step = unit()},
                      columns, [&](size_t j) { return heads_[j].Gains(); });
  }

  // error, norm: of the logits, are added to.
  HeadMaps MapsByMetric(const HeadScores& head, int64_t pairs, double& error, double& norm) const {
    HeadMaps maps;
    maps.units = LastOf(*head.elimination, pairs);
    maps.columns = PairColumns(maps.units, width_);
    maps.key = SelectionMap(maps.columns, width_, head.metric.options());
    maps.selects_queries = !gains_;
    for (int64_t i = 0; i < head.metric.size(0); ++i) {
      const PairGain gain =
          gains_ ? FitPairGain(head.metric[i], maps.units) : NoPairGain(head.metric[i], maps.units);
      maps.query.push_back(gain.map);
      maps.damping = std::max(maps.damping, gain.damping);
      error += gain.squared_error;
      norm += gain.squared_norm;
    }
    return maps;
  }

  HeadMaps MapsByGrams(const HeadScores& head, int64_t units, double& error, double& norm) const {
    HeadMaps maps;
    const int64_t queries = head.q.size(0);
    if (!head.scores.defined()) {
      maps.key = head.subspaces.key.narrow(1, 0, units);
      maps.query.assign(static_cast<size_t>(queries), head.subspaces.query.narrow(1, 0, units));
      maps.selects_queries = false;
    } else {
      maps.units = LargestIndices(head.scores, units);
      maps.columns = rotary_ ? PairColumns(maps.units, width_) : maps.units;
      maps.key = SelectionMap(maps.columns, width_, head.k.options());
      maps.selects_queries = !gains_;
      for (int64_t i = 0; i < queries; ++i) {
        const Gain gain =
            gains_ ? ComplexGain(head.q[i], head.k, maps.units) : Gain{.map = maps.key};
        maps.query.push_back(gain.map);
        maps.damping = std::max(maps.damping, gain.damping);
      }
    }
    for (int64_t i = 0; i < queries; ++i) {
      const Tensor map = at::matmul(maps.query[static_cast<size_t>(i)], maps.key.t());
      error += QkMapError(head.q[i], head.k, map);
      norm += QkSquaredNorm(head.q[i], head.k);
    }
    return maps;
  }

  const TrialOptions& options_;
  bool gains_, rotary_;
  int64_t width_;  // dense width of a head
  std::vector<HeadScores> heads_;
};

}  // namespace

StatRequests CondenseQueryKeyRequests(const TrialOptions& options, const ModelConfig& model) {
  const bool softmax = options.query_key == QkMetric::kSoftmax;
  if (softmax && model.HasRope()) {
    return {PairMetric(options.query_stride, options.query_sequences)};
  }
  return {HeadGram(Tap::kQueryRotated),
          softmax ? KeyCovariance(options.query_stride) : HeadGram(Tap::kKeyRotated)};
}

ModuleNarrowerPointer MakeQueryKeyNarrower(const CondenseContext& context,
                                           const BlockStatistics& dense, const Block& block) {
  return std::make_unique<QueryKeyNarrower>(context, dense, block);
}

}  // namespace condense
