// Query/key selection, gains and subspaces against explicit score matrices (T9-T12, T14-T16).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "compression/solvers/query_key.h"
#include "model/rope.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

constexpr int64_t kWidth = 8, kPairs = kWidth / 2;
constexpr PairScore kScores[] = {PairScore::kSum, PairScore::kNorm, PairScore::kExact};

struct Head {
  Tensor q, k;      // [n, kWidth]
  Tensor c_q, c_k;  // Gram matrices
  Tensor Scores() const { return at::matmul(q, k.t()); }
};

Head MakeHead(const std::string& purpose) {
  const Tensor q = Activations(30, kWidth, purpose + "/q"),
               k = Activations(30, kWidth, purpose + "/k");
  return {q, k, GramOf(q), GramOf(k)};
}

Tensor Rotated(const Tensor& x, const Tensor& frequencies) {
  const RopeTable table = MakeRopeTable(frequencies, 0, x.size(0), kF64);
  return ApplyRope(x.unsqueeze(0).unsqueeze(0), table.cos, table.sin).squeeze(0).squeeze(0);
}

// Gains and selections as one map [d_h, d_h] between full queries and full keys.
Tensor SquareMap(const Gain& gain, const Indices& columns) {
  return at::matmul(gain.map, Columns(at::eye(kWidth, gain.map.options()), columns).t());
}

TEST(QkScores, OfDimensionsAreProductsOfColumnNorms) {
  const Head head = MakeHead("single");
  const Tensor expected = head.q.norm(2, {0}) * head.k.norm(2, {0});
  const Tensor scores =
      QkScores(head.c_q.unsqueeze(0), head.c_k, false, PairScore::kSum, GroupScore::kRss);
  EXPECT_LT(MaxDifference(scores / expected, at::ones_like(expected)), 1e-12);
}

TEST(QkMapError, IsTheErrorOfTheScoresThatDroppedColumnsMake) {  // T9, T10
  const Head head = MakeHead("dropped");
  const Indices kept{0, 1, 4, 7}, dropped{2, 3, 5, 6};
  const Tensor identity = at::eye(kWidth, head.q.options());
  const Tensor map = at::matmul(Columns(identity, kept), Columns(identity, kept).t());
  const double expected =
      SquaredNorm(head.Scores() - at::matmul(Columns(head.q, kept), Columns(head.k, kept).t()));
  EXPECT_NEAR(QkMapError(head.c_q, head.c_k, map) / expected, 1, 1e-10);
  EXPECT_NEAR(QkSquaredNorm(head.c_q, head.c_k) / SquaredNorm(head.Scores()), 1, 1e-12);
  const Tensor scores =
      QkScores(head.c_q.unsqueeze(0), head.c_k, false, PairScore::kSum, GroupScore::kRss);
  const double bound = scores.index_select(0, IndexTensor(dropped)).sum().item<double>();
  EXPECT_LE(expected, bound * bound);
}

TEST(QkScores, ExactIsTheErrorOfDroppingThatPairAlone) {
  const Head head = MakeHead("exact");
  const Tensor scores =
      QkScores(head.c_q.unsqueeze(0), head.c_k, true, PairScore::kExact, GroupScore::kRss);
  for (int64_t p = 0; p < kPairs; ++p) {
    const Indices pair{p, p + kPairs};
    const double expected =
        SquaredNorm(at::matmul(Columns(head.q, pair), Columns(head.k, pair).t()));
    EXPECT_NEAR(scores[p].item<double>() / std::sqrt(expected), 1, 1e-10);
    for (const PairScore bound : {PairScore::kSum, PairScore::kNorm}) {
      const Tensor bounds =
          QkScores(head.c_q.unsqueeze(0), head.c_k, true, bound, GroupScore::kRss);
      EXPECT_GE(bounds[p].item<double>() * (1 + 1e-12), std::sqrt(expected));
    }
  }
}

TEST(QkScores, OfPairsByNormDoNotFeelTheRotation) {  // T12
  const Head head = MakeHead("rotated");
  const Tensor frequencies = RopeFrequencies({.theta = 100}, kWidth);
  const Tensor rotated_q = Rotated(head.q, frequencies), rotated_k = Rotated(head.k, frequencies);
  const auto scores = [](const Tensor& q, const Tensor& k, PairScore score) {
    return QkScores(GramOf(q).unsqueeze(0), GramOf(k), true, score, GroupScore::kRss);
  };
  const Tensor before = scores(head.q, head.k, PairScore::kNorm);
  EXPECT_LT(((scores(rotated_q, rotated_k, PairScore::kNorm) - before) / before)
                .abs()
                .max()
                .item<double>(),
            1e-6);  // cosines and sines come from float32 angles
  EXPECT_GT(MaxDifference(scores(rotated_q, rotated_k, PairScore::kSum),
                          scores(head.q, head.k, PairScore::kSum)),
            1e-2);
}

TEST(PairColumns, SelectionCommutesWithTheRotation) {  // T11
  const Tensor x = Activations(30, kWidth, "commute");
  const Tensor frequencies = RopeFrequencies({.theta = 100}, kWidth);
  const Indices pairs{0, 3};
  const Indices columns = PairColumns(pairs, kWidth);
  EXPECT_THAT(columns, ::testing::ElementsAre(0, 3, 4, 7));
  EXPECT_TRUE(
      at::equal(Columns(Rotated(x, frequencies), columns),
                Rotated(Columns(x, columns), frequencies.index_select(0, IndexTensor(pairs)))));
}

TEST(QkScores, OfAGroupMeasureTheErrorOverItsHeads) {  // T16
  const Head a = MakeHead("group/a"), b = MakeHead("group/b");
  const Tensor both = at::stack({a.c_q, b.c_q});
  const Tensor scores = QkScores(both, a.c_k, true, PairScore::kExact, GroupScore::kRss);
  for (int64_t p = 0; p < kPairs; ++p) {
    const Indices pair{p, p + kPairs};
    const Tensor keys = Columns(a.k, pair).t();
    const double expected = SquaredNorm(at::matmul(Columns(a.q, pair), keys)) +
                            SquaredNorm(at::matmul(Columns(b.q, pair), keys));
    EXPECT_NEAR(scores[p].square().item<double>() / expected, 1, 1e-10);
  }
}

TEST(QkScores, OfIdenticalQueryHeadsRankAsOneHead) {  // T16
  const Head head = MakeHead("identical");
  const Tensor twice = at::stack({head.c_q, head.c_q});
  for (const PairScore score : kScores) {
    const Tensor single = QkScores(head.c_q.unsqueeze(0), head.c_k, true, score, GroupScore::kRss);
    for (const auto& [group, factor] :
         {std::pair{GroupScore::kRss, std::sqrt(2.0)}, std::pair{GroupScore::kSum, 2.0}}) {
      const Tensor grouped = QkScores(twice, head.c_k, true, score, group);
      EXPECT_LT(MaxDifference(grouped / single, at::full_like(single, factor)), 1e-12);
    }
  }
}

TEST(ComplexGain, EqualsExplicitLeastSquares) {  // T14
  const Head head = MakeHead("complex");
  const Indices pairs{0, 2};
  // One column for each basis matrix: the scores that it alone makes.
  std::vector<Tensor> basis, columns;
  for (const int64_t p : pairs) {
    Tensor e = at::zeros({kWidth, kWidth}, head.q.options());
    e[p][p] = 1, e[p + kPairs][p + kPairs] = 1;
    basis.push_back(e);
  }
  for (const int64_t p : pairs) {
    Tensor e = at::zeros({kWidth, kWidth}, head.q.options());
    e[p][p + kPairs] = -1, e[p + kPairs][p] = 1;
    basis.push_back(e);
  }
  for (const Tensor& e : basis) {
    columns.push_back(at::matmul(head.q, at::matmul(e, head.k.t())).flatten());
  }
  const Tensor x = LeastSquares(at::stack(columns, 1), head.Scores().flatten().unsqueeze(1));
  Tensor expected = at::zeros({kWidth, kWidth}, head.q.options());
  for (size_t i = 0; i < basis.size(); ++i) expected += basis[i] * x[static_cast<int64_t>(i)];
  const Gain gain = ComplexGain(head.c_q, head.c_k, pairs);
  EXPECT_LT(MaxDifference(SquareMap(gain, PairColumns(pairs, kWidth)), expected), 1e-9);
}

TEST(ComplexGain, CommutesWithTheRotation) {
  const Head head = MakeHead("commuting gain");
  const Indices all{0, 1, 2, 3};
  const Tensor map = ComplexGain(head.c_q, MakeHead("other").c_k, {0, 1, 3}).map;
  const Tensor frequencies = RopeFrequencies({.theta = 100}, kWidth);
  const Tensor kept = frequencies.index_select(0, IndexTensor({0, 1, 3}));
  EXPECT_LT(MaxDifference(at::matmul(Rotated(head.q, frequencies), map),
                          Rotated(at::matmul(head.q, map), kept)),
            1e-10);
  // With every pair kept there is nothing to make up for.
  const Tensor full = ComplexGain(head.c_q, head.c_k, all).map;
  EXPECT_LT(MaxDifference(full, at::eye(kWidth, full.options())), 1e-9);
}

TEST(ComplexGain, NeverDoesWorseThanSelection) {
  const Head head = MakeHead("gain");
  const Indices pairs{1, 3};
  const Indices columns = PairColumns(pairs, kWidth);
  const Tensor select = Columns(at::eye(kWidth, head.q.options()), columns);
  const Gain gain = ComplexGain(head.c_q, head.c_k, pairs);
  EXPECT_LE(QkMapError(head.c_q, head.c_k, SquareMap(gain, columns)),
            QkMapError(head.c_q, head.c_k, at::matmul(select, select.t())));
}

TEST(CoreGain, EqualsLeastSquaresOverAllMapsOfTheKeptColumns) {
  const Head head = MakeHead("core");
  const Indices kept{0, 2, 3, 6, 7};
  const Tensor q_j = Columns(head.q, kept), k_j = Columns(head.k, kept);
  // Q_J M K_J^T nearest to the scores: M = Q_J^+ S (K_J^T)^+.
  const Tensor left = LeastSquares(q_j, head.Scores());
  const Tensor expected = LeastSquares(k_j, left.t()).t();
  const Gain gain = CoreGain(head.c_q, head.c_k, kept);
  EXPECT_LT(MaxDifference(Rows(gain.map, kept), expected), 1e-8);
  EXPECT_EQ(Rows(gain.map, {1, 4, 5}).abs().max().item<double>(), 0);
}

TEST(QkBestRank, ErrorIsTheTailOfTheSpectrumOfTheScores) {  // T15
  const Head head = MakeHead("svd");
  const Tensor singular = at::linalg_svdvals(head.Scores()).narrow(0, 0, kWidth).square();
  const QkSubspaces best = QkBestRank(head.c_q, head.c_k);
  EXPECT_LT(MaxDifference(best.spectrum / singular, at::ones_like(singular)), 1e-4);
  for (const int64_t k : {2, 5}) {
    const Tensor q = at::matmul(head.q, best.query.narrow(1, 0, k));
    const Tensor key = at::matmul(head.k, best.key.narrow(1, 0, k));
    const double tail = singular.narrow(0, k, kWidth - k).sum().item<double>();
    EXPECT_NEAR(SquaredNorm(head.Scores() - at::matmul(q, key.t())) / tail, 1, 1e-4);
  }
  EXPECT_LT(
      MaxDifference(at::matmul(at::matmul(head.q, best.query), at::matmul(head.k, best.key).t()),
                    head.Scores()),
      1e-6 * head.Scores().abs().max().item<double>());
}

TEST(QkBestRank, OfAHeadWithoutQueriesKeepsItsColumns) {
  const Head head = MakeHead("dead");
  const QkSubspaces best = QkBestRank(at::zeros_like(head.c_q), head.c_k);
  EXPECT_TRUE(at::equal(best.query, at::eye(kWidth, best.query.options())));
}

}  // namespace
}  // namespace condense
