// Pairs and gains in the softmax metric, against explicit logits of a causal attention.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "calibration/score_statistics.h"
#include "compression/solvers/pair_elimination.h"
#include "compression/solvers/query_key.h"
#include "model/rope.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

constexpr int64_t kTokens = 40, kWidth = 10, kPairs = kWidth / 2;
constexpr double kScale = 0.05;

// One key head and the query heads of its group, as they enter the scores.
struct Group {
  Tensor queries, keys;  // [kTokens, g kWidth], [kTokens, kWidth]
  int64_t g() const { return queries.size(1) / kWidth; }
  Tensor Query(int64_t i) const { return queries.narrow(1, i * kWidth, kWidth); }

  Tensor Metric() const {  // [g, kWidth, kWidth]
    const auto sum = MakeScoreAccumulator(
        StatKind::kPairMetric, {{.queries = g(), .qk_width = kWidth, .vo_width = 1}}, {});
    sum->Add(queries.unsqueeze(0), keys.unsqueeze(0), kScale);
    return sum->Finish();
  }
  Tensor Attention(int64_t i) const {
    const Tensor later = at::ones({kTokens, kTokens}, at::kBool).triu(1);
    return at::softmax((kScale * at::matmul(Query(i), keys.t()))
                           .masked_fill(later, -std::numeric_limits<double>::infinity()),
                       1);
  }
  // Logits [kTokens, kTokens] as rows of one regression: minus their mean under the attention,
  // times its root, so that a squared norm is a variance summed over queries.
  Tensor Weighted(int64_t i, const Tensor& logits) const {
    const Tensor p = Attention(i);
    return (p.sqrt() * (logits - (p * logits).sum(1, true))).flatten();
  }
  // The logits that pair j alone makes, and those of its turned queries.
  Tensor Contribution(int64_t i, int64_t j, bool turned) const {
    const auto q = [&](int64_t c) { return Query(i).select(1, c); };
    const auto k = [&](int64_t c) { return keys.select(1, c); };
    return turned ? at::outer(q(j), k(j + kPairs)) - at::outer(q(j + kPairs), k(j))
                  : at::outer(q(j), k(j)) + at::outer(q(j + kPairs), k(j + kPairs));
  }
};

Group MakeGroup(const std::string& purpose, int64_t g) {
  std::vector<Tensor> queries;
  for (int64_t i = 0; i < g; ++i) {
    queries.push_back(Activations(kTokens, kWidth, purpose + "/q" + std::to_string(i)));
  }
  return {at::cat(queries, 1), Activations(kTokens, kWidth, purpose + "/k") + 1.0};
}

// min_w (w - w0)^T G (w - w0) over gains on the kept pairs, with the ridge of the solver.
double LeastLoss(const Tensor& metric, const Indices& kept, double ridge) {
  Tensor g = metric.clone();
  g.diagonal().add_(ridge * metric.diagonal().mean().item<double>());
  const Tensor start = at::cat({at::ones({kPairs}, g.options()), at::zeros({kPairs}, g.options())});
  const Tensor root = at::linalg_cholesky(g).t();  // ||root w||^2
  Tensor w = at::zeros_like(start);
  if (!kept.empty()) {
    const Indices both = PairColumns(kept, kWidth);
    w.index_copy_(0, IndexTensor(both),
                  LeastSquares(Columns(root, both), at::mv(root, start).unsqueeze(1)).squeeze(1));
  }
  return SquaredNorm(at::mv(root, w - start));
}

TEST(FitPairGain, EqualsLeastSquaresOfTheLogitsUnderTheAttention) {
  const Group group = MakeGroup("gain", 2);
  const Tensor metric = group.Metric();
  const Indices pairs{0, 2, 3};
  for (int64_t i = 0; i < 2; ++i) {
    std::vector<Tensor> columns;
    for (const bool turned : {false, true}) {
      for (const int64_t j : pairs) {
        columns.push_back(group.Weighted(i, group.Contribution(i, j, turned)));
      }
    }
    const Tensor design = at::stack(columns, 1);
    const Tensor logits =
        group.Weighted(i, at::matmul(group.Query(i), group.keys.t())).unsqueeze(1);
    const Tensor x = LeastSquares(design, logits).squeeze(1);
    const PairGain gain = FitPairGain(metric[i], pairs, 0);
    const Tensor map =
        ComplexGainMap(IndexTensor(pairs), kWidth, x.narrow(0, 0, 3), x.narrow(0, 3, 3));
    EXPECT_LT(MaxDifference(gain.map, map), 1e-8);

    // The logits that the narrowed head really makes.
    const Tensor narrowed = at::matmul(at::matmul(group.Query(i), gain.map),
                                       Columns(group.keys, PairColumns(pairs, kWidth)).t());
    const Tensor error = logits.squeeze(1) - group.Weighted(i, narrowed);
    EXPECT_NEAR(gain.squared_error / SquaredNorm(error), 1, 1e-8);
    EXPECT_NEAR(gain.squared_norm / SquaredNorm(logits), 1, 1e-10);
  }
}

TEST(FitPairGain, CommutesWithTheRotation) {
  const Group group = MakeGroup("commute", 1);
  const Indices pairs{0, 1, 4};
  const Tensor map = FitPairGain(group.Metric()[0], pairs).map;
  const auto rotated = [](const Tensor& x, const Tensor& frequencies) {
    const RopeTable table = MakeRopeTable(frequencies, 0, x.size(0), kF64);
    return ApplyRope(x.unsqueeze(0).unsqueeze(0), table.cos, table.sin).squeeze(0).squeeze(0);
  };
  const Tensor frequencies = RopeFrequencies({.theta = 100}, kWidth);
  const Tensor q = group.Query(0);
  EXPECT_LT(
      MaxDifference(at::matmul(rotated(q, frequencies), map),
                    rotated(at::matmul(q, map), frequencies.index_select(0, IndexTensor(pairs)))),
      1e-10);
}

TEST(FitPairGain, OfAllPairsIsTheIdentity) {
  const Group group = MakeGroup("identity", 1);
  const PairGain gain = FitPairGain(group.Metric()[0], Complement({}, kPairs));
  EXPECT_LT(MaxDifference(gain.map, at::eye(kWidth, gain.map.options())), 1e-9);
  EXPECT_LT(gain.squared_error, 1e-12 * gain.squared_norm);
}

TEST(FitPairGain, NeverLosesMoreThanSelection) {
  const Tensor metric = MakeGroup("selection", 1).Metric()[0];
  ForEachSubset(kPairs, 3, [&](const Indices& pairs) {
    EXPECT_LE(FitPairGain(metric, pairs, 0).squared_error, NoPairGain(metric, pairs).squared_error);
  });
}

// One key/value head with all query heads.
Elimination Alone(const Tensor& metric, double relative_ridge = kPairRidge) {
  return EliminatePairs(metric, {metric.size(0)}, relative_ridge).front();
}

TEST(EliminatePairs, RemovesAtEachStepThePairWhoseLossCostsLeast) {
  for (const int64_t g : {1, 3}) {
    for (const char* purpose : {"steps/a", "steps/b", "steps/c"}) {
      const Tensor metric = MakeGroup(purpose, g).Metric();
      const auto loss = [&](const Indices& kept) {
        double sum = 0;
        for (int64_t i = 0; i < g; ++i) sum += LeastLoss(metric[i], kept, kPairRidge);
        return sum;
      };
      const Elimination elimination = Alone(metric);
      ASSERT_EQ(elimination.order.size(), static_cast<size_t>(kPairs));
      Indices kept = Complement({}, kPairs);
      for (int64_t step = 0; step < kPairs; ++step) {
        int64_t best = -1;
        double least = std::numeric_limits<double>::infinity();
        for (const int64_t candidate : kept) {
          Indices rest = kept;
          rest.erase(std::find(rest.begin(), rest.end(), candidate));
          if (loss(rest) < least) least = loss(rest), best = candidate;
        }
        EXPECT_EQ(elimination.order[static_cast<size_t>(step)], best);
        kept.erase(std::find(kept.begin(), kept.end(), best));
        // The costs so far are the loss at this width.
        EXPECT_NEAR(elimination.costs.narrow(0, 0, step + 1).sum().item<double>() / least, 1, 1e-8);
        EXPECT_EQ(LastOf(elimination, kPairs - step - 1), kept);
      }
    }
  }
}

TEST(EliminatePairs, CostsPredictTheLossOfTheGains) {
  const Tensor metric = MakeGroup("predict", 2).Metric();
  const double tiny = 1e-12;
  const Elimination elimination = Alone(metric, tiny);
  const Tensor gains = GainsOf(elimination);
  for (int64_t k = 1; k < kPairs; ++k) {
    double measured = 0;
    for (int64_t i = 0; i < 2; ++i) {
      measured += FitPairGain(metric[i], LastOf(elimination, k), tiny).squared_error;
    }
    EXPECT_NEAR(gains.narrow(0, k, kPairs - k).sum().item<double>() / measured, 1, 1e-6);
  }
}

TEST(EliminatePairs, RemovesFirstWhatIsTheSameForAllKeys) {
  Group group = MakeGroup("constant", 1);
  // Large, but the softmax does not see it.
  group.keys.select(1, 3).fill_(50), group.keys.select(1, 3 + kPairs).fill_(-20);
  const Elimination elimination = Alone(group.Metric(), 1e-9);
  EXPECT_EQ(elimination.order[0], 3);
  EXPECT_LT(elimination.costs[0].item<double>(), 1e-6 * elimination.costs.sum().item<double>());
}

TEST(EliminatePairs, OfIdenticalQueryHeadsIsThatOfOne) {
  const Group one = MakeGroup("identical", 1);
  const Group two{at::cat({one.queries, one.queries}, 1), one.keys};
  const Elimination single = Alone(one.Metric()), both = Alone(two.Metric());
  EXPECT_EQ(single.order, both.order);
  EXPECT_LT(MaxDifference(both.costs / single.costs, at::full_like(single.costs, 2)), 1e-9);
}

TEST(EliminatePairs, IgnoresAHeadWithoutQueries) {
  const Group group = MakeGroup("dead", 2);
  const Group dead{at::cat({group.Query(0), at::zeros_like(group.keys)}, 1), group.keys};
  const Group alone{group.Query(0), group.keys};
  const Tensor metric = dead.Metric();
  EXPECT_EQ(Alone(metric).order, Alone(alone.Metric()).order);
  const PairGain gain = FitPairGain(metric[1], {1, 2});
  EXPECT_TRUE(at::equal(gain.map, NoPairGain(metric[1], {1, 2}).map));
  EXPECT_EQ(Alone(at::zeros_like(metric)).order.size(), static_cast<size_t>(kPairs));
}

TEST(EliminatePairs, OfManyHeadsAreThoseOfEachAlone) {
  const std::vector<int64_t> queries{2, 1, 3, 1};
  std::vector<Tensor> metrics;
  for (size_t j = 0; j < queries.size(); ++j) {
    metrics.push_back(MakeGroup("many/" + std::to_string(j), queries[j]).Metric());
  }
  metrics[1].zero_();  // has nothing to lose, and costs the others nothing
  const std::vector<Elimination> all = EliminatePairs(at::cat(metrics), queries);
  ASSERT_EQ(all.size(), queries.size());
  for (size_t j = 0; j < queries.size(); ++j) {
    const Elimination alone = Alone(metrics[j]);
    EXPECT_EQ(all[j].order, alone.order);
    EXPECT_EQ(all[j].damping, alone.damping);
    EXPECT_LT(MaxDifference(all[j].costs, alone.costs),
              1e-12 * alone.costs.sum().item<double>() + 1e-300);
  }
  EXPECT_EQ(all[1].order, Complement({}, kPairs));
}

// --- Without RoPE --------------------------------------------------------------------------------

TEST(QkBestRank, WithTheCovarianceOfAttendedKeysIsTheBestMapOfItsRank) {
  const Group group = MakeGroup("no rope", 2);
  const std::vector<HeadConfig> heads{{.queries = 2, .qk_width = kWidth, .vo_width = 1}};
  const auto covariance = [&](const Tensor& keys) {
    const auto sum = MakeScoreAccumulator(StatKind::kKeyCovariance, heads, {});
    sum->Add(group.queries.unsqueeze(0), keys.unsqueeze(0), kScale);
    return sum->Finish().sum(0);
  };
  const Tensor c_q = GramOf(group.Query(0)) + GramOf(group.Query(1));
  const Tensor c_k = covariance(group.keys);
  // A bias of the keys shifts whole rows of logits.
  EXPECT_LT(MaxDifference(covariance(group.keys + Normals({kWidth}, "bias")), c_k),
            1e-9 * c_k.abs().max().item<double>());
  const QkSubspaces best = QkBestRank(c_q, c_k);
  for (const int64_t k : {2, 5, 8}) {
    const Tensor q = best.query.narrow(1, 0, k), key = best.key.narrow(1, 0, k);
    const double error = QkMapError(c_q, c_k, at::matmul(q, key.t()));
    EXPECT_NEAR(error / best.spectrum.narrow(0, k, kWidth - k).sum().item<double>(), 1, 1e-4);
    for (int trial = 0; trial < 20; ++trial) {
      const std::string name = "trial" + std::to_string(trial);
      const Tensor near_q = q + 0.05 * q.abs().mean() * Normals({kWidth, k}, name + "/q");
      const Tensor near_k = key + 0.05 * key.abs().mean() * Normals({kWidth, k}, name + "/k");
      EXPECT_GE(QkMapError(c_q, c_k, at::matmul(near_q, near_k.t())), error * (1 - 1e-9));
    }
  }
}

}  // namespace
}  // namespace condense
