// Refits, leverage and backward elimination against explicit data matrices (T1-T8, T51-T55).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "compression/solvers/elimination.h"
#include "compression/solvers/refit.h"
#include "tensor/linalg.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

using ::testing::ElementsAre;

// H [n, m], its Gram matrix and a consumer W [m, out].
struct Problem {
  Tensor h, c, w;
  double ErrorOf(const Tensor& weight, const Indices& kept) const {
    return SquaredNorm(at::matmul(h, w) - at::matmul(Columns(h, kept), weight));
  }
};

Problem MakeProblem(int64_t n, int64_t m, const std::string& purpose, int64_t out = 6) {
  const Tensor h = Activations(n, m, purpose);
  return {h, GramOf(h), Normals({m, out}, purpose + "/w")};
}

const Indices kSome{0, 2, 3, 7, 9, 12, 13};

TEST(RidgeInverseDiagonal, GivesLeverageThatSumsToTheEffectiveRank) {  // T1
  const Problem p = MakeProblem(60, 24, "leverage");
  for (const double lambda : {1e-3, 1.0, 1e4}) {
    const Tensor leverage = 1 - lambda * RidgeInverseDiagonal(p.c, lambda).values;
    EXPECT_TRUE((leverage >= 0).logical_and(leverage < 1).all().item<bool>());
    const Tensor spectrum = EighDescending(p.c, "C").values;
    const double rank = (spectrum / (spectrum + lambda)).sum().item<double>();
    EXPECT_NEAR(leverage.sum().item<double>() / rank, 1, 1e-10);
  }
}

TEST(RidgeInverseDiagonal, IsTheDiagonalOfTheInverseAcrossBlockBorders) {
  const Problem p = MakeProblem(1500, 700, "blocks", 1);
  const Tensor explicit_inverse = at::linalg_inv(p.c + 3.0 * at::eye(700, p.c.options()));
  const Tensor expected = explicit_inverse.diagonal();
  EXPECT_LT(
      ((RidgeInverseDiagonal(p.c, 3.0).values - expected) / expected).abs().max().item<double>(),
      1e-8);
}

TEST(RidgeInverseDiagonal, OrdersByEnergyForALargeRidge) {
  const Problem p = MakeProblem(60, 24, "energy order");
  // With lambda far above C, t = 1/lambda - C_jj / lambda^2 is flat to 1e-12; a milder one keeps
  // digits.
  const Tensor t = RidgeInverseDiagonal(p.c, 1e4 * p.c.diagonal().max().item<double>()).values;
  EXPECT_TRUE(at::equal(t.argsort(), p.c.diagonal().neg().argsort()));
}

TEST(RidgeInverseDiagonal, GivesDeadChannelsTheLargestValue) {  // T6
  Problem p = MakeProblem(60, 10, "dead");
  p.h.select(1, 4).zero_();
  const Tensor t = RidgeInverseDiagonal(GramOf(p.h), 0.5).values;
  EXPECT_DOUBLE_EQ(t[4].item<double>(), 2.0);
  EXPECT_EQ(t.argmax().item<int64_t>(), 4);
}

TEST(RidgeInverseDiagonal, FollowsAPermutationOfTheChannels) {  // T7
  const Problem p = MakeProblem(60, 12, "permuted");
  const Tensor order =
      at::tensor(Random(3, "order").Permutation(12), at::TensorOptions().dtype(kI64));
  const Tensor t = RidgeInverseDiagonal(p.c, 1).values;
  const Tensor permuted =
      RidgeInverseDiagonal(p.c.index_select(0, order).index_select(1, order), 1).values;
  EXPECT_LT(((permuted - t.index_select(0, order)) / permuted).abs().max().item<double>(), 1e-9);
}

TEST(Refit, BothFormsEqualLeastSquaresOnTheData) {  // T2, T4
  const Problem p = MakeProblem(80, 16, "least squares");
  const Tensor expected = LeastSquares(Columns(p.h, kSome), at::matmul(p.h, p.w));
  EXPECT_LT(MaxDifference(RefitDelta(p.c, p.w, kSome, 0).weight, expected), 1e-9);
  EXPECT_LT(MaxDifference(RefitMinNorm(p.c, p.w, kSome).weight, expected), 1e-9);
  EXPECT_EQ(RefitDelta(p.c, p.w, kSome, 0).damping, 0);
}

TEST(Refit, ReportsTheErrorOnTheData) {  // T3
  const Problem p = MakeProblem(80, 16, "error");
  for (const RefitResult& refit : {RefitDelta(p.c, p.w, kSome, 0), RefitDelta(p.c, p.w, kSome, 0.1),
                                   RefitMinNorm(p.c, p.w, kSome), NoRefit(p.c, p.w, kSome)}) {
    EXPECT_NEAR(refit.squared_error / p.ErrorOf(refit.weight, kSome), 1, 1e-8);
    EXPECT_NEAR(refit.squared_norm / SquaredNorm(at::matmul(p.h, p.w)), 1, 1e-6);
  }
}

TEST(Refit, ErrorIsTheSchurComplementOfTheDroppedChannels) {  // T3
  const Problem p = MakeProblem(80, 16, "schur");
  const Indices dropped = Complement(kSome, 16);
  const Tensor c_jj = Columns(Rows(p.c, kSome), kSome), c_jd = Columns(Rows(p.c, kSome), dropped);
  const Tensor schur =
      Columns(Rows(p.c, dropped), dropped) - at::matmul(c_jd.t(), at::linalg_solve(c_jj, c_jd));
  const Tensor w_d = Rows(p.w, dropped);
  const double expected = (w_d * at::matmul(schur, w_d)).sum().item<double>();
  EXPECT_NEAR(RefitDelta(p.c, p.w, kSome, 0).squared_error / expected, 1, 1e-9);
}

TEST(RefitDelta, WithARidgePullsTowardsTheOriginalWeights) {
  const Problem p = MakeProblem(80, 16, "ridge");
  const double relative = 0.3;
  const Tensor h_j = Columns(p.h, kSome);
  const double mu = relative * GramOf(h_j).diagonal().mean().item<double>();
  // Stack the penalty mu ||B - W_J||^2 under the data.
  const Tensor left = at::cat({h_j, std::sqrt(mu) * at::eye(7, p.h.options())});
  const Tensor right = at::cat({at::matmul(p.h, p.w), std::sqrt(mu) * Rows(p.w, kSome)});
  EXPECT_LT(MaxDifference(RefitDelta(p.c, p.w, kSome, relative).weight, LeastSquares(left, right)),
            1e-9);
}

TEST(RefitDelta, OfAllChannelsIsTheIdentityEvenIfTheGramMatrixIsSingular) {  // T5
  const Problem p = MakeProblem(6, 16, "singular");
  const Indices all = Complement({}, 16);
  EXPECT_TRUE(at::equal(RefitDelta(p.c, p.w, all, 0).weight, p.w));
  EXPECT_GT(MaxDifference(RefitMinNorm(p.c, p.w, all).weight, p.w), 0.1);
}

TEST(RefitDelta, LeavesDirectionsWithoutDataAlone) {
  // 10 tokens in 16 channels, of which 12 stay: 2 directions of the kept ones are never seen.
  const Problem p = MakeProblem(10, 16, "unseen");
  const Indices kept = Complement({1, 5, 6, 11}, 16);
  const RefitResult delta = RefitDelta(p.c, p.w, kept, 0), min_norm = RefitMinNorm(p.c, p.w, kept);
  const double norm = SquaredNorm(at::matmul(p.h, p.w));
  EXPECT_LT(p.ErrorOf(delta.weight, kept) / norm, 1e-10);
  EXPECT_LT(p.ErrorOf(min_norm.weight, kept) / norm, 1e-10);
  EXPECT_GT(delta.damping, 0);
  const Tensor unseen =
      EighDescending(Columns(Rows(p.c, kept), kept), "C_JJ").vectors.narrow(1, 10, 2);
  const Tensor change = at::matmul(unseen.t(), delta.weight - Rows(p.w, kept));
  EXPECT_LT(change.abs().max().item<double>(), 1e-3);
  EXPECT_GT(at::matmul(unseen.t(), min_norm.weight - Rows(p.w, kept)).abs().max().item<double>(),
            0.1);
}

TEST(RefitDelta, GivesDeadKeptChannelsNoCorrection) {  // T6
  Problem p = MakeProblem(80, 16, "dead kept");
  p.h.select(1, 3).zero_();
  p.c = GramOf(p.h);
  const RefitResult refit = RefitDelta(p.c, p.w, kSome, 0);
  EXPECT_TRUE(at::equal(refit.weight[2], p.w[3]));
  EXPECT_EQ(refit.damping, 0);
  const Indices live{0, 2, 7, 9, 12, 13};
  EXPECT_NEAR(refit.squared_error / RefitDelta(p.c, p.w, live, 0).squared_error, 1, 1e-9);
}

TEST(Refit, OfLeverageSelectionLiesBetweenTheOptimumAndNoRefit) {  // T8
  const Problem p = MakeProblem(40, 12, "brute force");
  double best = std::numeric_limits<double>::infinity();
  ForEachSubset(12, 7, [&](const Indices& kept) {
    best = std::min(best, RefitDelta(p.c, p.w, kept, 0).squared_error);
  });
  const Indices kept = SmallestIndices(RidgeInverseDiagonal(p.c, 1).values, 7);
  const double error = RefitDelta(p.c, p.w, kept, 0).squared_error;
  EXPECT_GE(error, best * (1 - 1e-9));
  EXPECT_LT(error, NoRefit(p.c, p.w, kept).squared_error);
}

TEST(ShiftedGram, EqualsTheGramMatrixOfShiftedRows) {
  const Tensor x = Activations(50, 8, "shift") + 3.0, shift = Normals({8}, "shift by");
  const Tensor expected = GramOf(x - shift);
  EXPECT_LT(MaxDifference(ShiftedGram(GramOf(x), x.mean(0), shift, 50), expected),
            1e-12 * GramOf(x).abs().max().item<double>());
}

TEST(ShiftedGram, WithAnInterceptTheRefitIsLeastSquaresWithAConstant) {
  const Tensor h = Activations(60, 10, "intercept") + 2.0, w = Normals({10, 4}, "intercept/w");
  const Indices kept{1, 2, 5, 8};
  const Tensor mean = h.mean(0);
  const Tensor centred = ShiftedGram(GramOf(h), mean, mean, 60);
  const Tensor refit = RefitDelta(centred, w, kept, 0).weight;
  const Tensor with_ones = at::cat({Columns(h, kept), at::ones({60, 1}, h.options())}, 1);
  const Tensor expected = LeastSquares(with_ones, at::matmul(h, w));
  EXPECT_LT(MaxDifference(refit, expected.narrow(0, 0, 4)), 1e-9);
  const Tensor bias =
      at::matmul(mean, w) - at::matmul(mean.index_select(0, IndexTensor(kept)), refit);
  EXPECT_LT(MaxDifference(bias, expected[4]), 1e-9);
}

// --- Backward elimination ------------------------------------------------------------------------

EliminationOptions Exact() { return {.relative_damping = 1e-13, .block = 1}; }

Indices KeptBy(const Elimination& elimination, int64_t m) {
  Indices removed = elimination.order;
  std::sort(removed.begin(), removed.end());
  return Complement(removed, m);
}

TEST(EliminateBackward, CostsAddUpToTheErrorOfTheRefit) {  // T51, T52
  const Problem p = MakeProblem(60, 16, "additive");
  for (const int64_t block : {1, 3}) {
    const Elimination all =
        EliminateBackward(p.c, p.w, 9, {.relative_damping = 1e-13, .block = block});
    const double error = RefitDelta(p.c, p.w, KeptBy(all, 16), 0).squared_error;
    EXPECT_NEAR(all.costs.sum().item<double>() / error, 1, 1e-6);
  }
}

TEST(EliminateBackward, RemovesAtEachStepTheChannelWhoseLossCostsLeast) {
  const Problem p = MakeProblem(60, 10, "greedy");
  const Elimination elimination = EliminateBackward(p.c, p.w, 4, Exact());
  Indices kept = Complement({}, 10);
  for (const int64_t removed : elimination.order) {
    int64_t best = -1;
    double least = std::numeric_limits<double>::infinity();
    for (const int64_t candidate : kept) {
      Indices rest = kept;
      rest.erase(std::find(rest.begin(), rest.end(), candidate));
      const double error = RefitDelta(p.c, p.w, rest, 0).squared_error;
      if (error < least) least = error, best = candidate;
    }
    EXPECT_EQ(removed, best);
    kept.erase(std::find(kept.begin(), kept.end(), removed));
  }
}

TEST(EliminateBackward, IsNestedInTheNumberOfChannels) {
  const Problem p = MakeProblem(200, 60, "nested");
  const EliminationOptions options{.block = 8};
  const Indices longer = EliminateBackward(p.c, p.w, 40, options).order;
  for (const int64_t count : {1, 8, 13, 39}) {
    const Indices order = EliminateBackward(p.c, p.w, count, options).order;
    EXPECT_EQ(order, Indices(longer.begin(), longer.begin() + count));
  }
}

// One channel after the other, with the weights compensated each time.
Elimination OneByOne(const Tensor& c, const Tensor& w, int64_t count, double relative_damping) {
  const int64_t m = c.size(0);
  const double damping = relative_damping * c.diagonal().mean().item<double>();
  Tensor inverse = at::linalg_inv(c + damping * at::eye(m, c.options())), weights = w.clone();
  Indices left = Complement({}, m);
  Elimination result;
  std::vector<double> costs;
  for (int64_t step = 0; step < count; ++step) {
    const Tensor cost = weights.square().sum(1) / inverse.diagonal();
    const auto j = cost.argmin().item<int64_t>();
    result.order.push_back(left[static_cast<size_t>(j)]);
    costs.push_back(cost[j].item<double>());
    const Tensor u = inverse.select(1, j) / inverse[j][j];
    weights = weights - at::outer(u, weights[j]);
    inverse = inverse - at::outer(u, inverse[j]);
    left.erase(left.begin() + j);
    const Tensor rest = IndexTensor(Complement({j}, weights.size(0)));
    weights = weights.index_select(0, rest);
    inverse = inverse.index_select(0, rest).index_select(1, rest);
  }
  result.costs = at::tensor(costs, at::TensorOptions().dtype(kF64));
  return result;
}

// Gram matrices as they come: of more and of fewer tokens than channels, with dead and with equal
// channels.
std::vector<Problem> Degenerate() {
  std::vector<Problem> problems{MakeProblem(900, 320, "many", 12), MakeProblem(90, 160, "few", 12),
                                MakeProblem(300, 160, "dead", 12)};
  Tensor& h = problems.back().h;
  h.narrow(1, 20, 5).zero_();
  h.narrow(1, 60, 10).copy_(h.narrow(1, 90, 10));
  problems.back().c = GramOf(h);
  return problems;
}

TEST(EliminateBackward, IsThatOfOneAfterTheOtherWhateverTheBlock) {  // T53
  for (const Problem& p : Degenerate()) {
    const int64_t m = p.c.size(0);
    for (const int64_t count : {m * 3 / 10, m * 6 / 10}) {
      const Elimination expected = OneByOne(p.c, p.w, count, 1e-6);
      const double scale = expected.costs.abs().max().item<double>();
      for (const int64_t block : {1, 8, 32, 128}) {
        const Elimination made =
            EliminateBackward(p.c, p.w, count, {.relative_damping = 1e-6, .block = block});
        EXPECT_EQ(made.order, expected.order) << m << " channels in blocks of " << block;
        EXPECT_LT(MaxDifference(made.costs, expected.costs), 1e-9 * scale);
      }
    }
  }
}

TEST(EliminateBackward, CostsOfManyAddUpToTheErrorOfTheRefit) {  // T52
  const Problem p = MakeProblem(900, 320, "many", 12);
  const double relative = 1e-12;
  for (const int64_t count : {96, 192, 280}) {
    const Elimination e = EliminateBackward(p.c, p.w, count, {.relative_damping = relative});
    const double error = RefitDelta(p.c, p.w, KeptBy(e, 320), 0).squared_error;
    EXPECT_NEAR(e.costs.sum().item<double>() / error, 1, 1e-6);
  }
}

TEST(EliminateBackward, ComesNearTheBestSubset) {  // T54
  const Problem p = MakeProblem(40, 12, "brute force");
  double best = std::numeric_limits<double>::infinity();
  ForEachSubset(12, 7, [&](const Indices& kept) {
    best = std::min(best, RefitDelta(p.c, p.w, kept, 0).squared_error);
  });
  const Indices kept = KeptBy(EliminateBackward(p.c, p.w, 5, Exact()), 12);
  EXPECT_LT(RefitDelta(p.c, p.w, kept, 0).squared_error, 1.5 * best);
}

TEST(EliminateBackward, RemovesDeadAndRedundantChannelsFirst) {
  Problem p = MakeProblem(60, 8, "redundant");
  p.h.select(1, 2).zero_();
  p.h.select(1, 6).copy_(2 * p.h.select(1, 1));  // either of 1 and 6 can be spared, not both
  p.c = GramOf(p.h);
  const Elimination e = EliminateBackward(p.c, p.w, 2, {.relative_damping = 1e-9, .block = 1});
  Indices removed = e.order;
  std::sort(removed.begin(), removed.end());
  EXPECT_THAT(removed, testing::AnyOf(ElementsAre(1, 2), ElementsAre(2, 6)));
}

// --- Indices -------------------------------------------------------------------------------------

TEST(Indices, TiesGoToTheLowerIndex) {
  const Tensor scores = at::tensor({1.0, 3.0, 1.0, 3.0, 3.0, 0.0}, at::TensorOptions().dtype(kF64));
  EXPECT_THAT(LargestIndices(scores, 2), ElementsAre(1, 3));
  EXPECT_THAT(LargestIndices(scores, 4), ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(SmallestIndices(scores, 2), ElementsAre(0, 5));
  EXPECT_THAT(Complement({0, 5}, 6), ElementsAre(1, 2, 3, 4));
}

TEST(PooledWidths, GivesStepsWhereTheyGainMost) {
  const auto options = at::TensorOptions().dtype(kF64);
  const std::vector<Tensor> gains{at::tensor({9.0, 8.0, 7.0, 1.0}, options),
                                  at::tensor({0.5, 0.4, 0.3, 0.2}, options),
                                  at::tensor({6.0, 5.0, 2.0, 1.5}, options)};
  EXPECT_THAT(PooledWidths(gains, 6, 1), ElementsAre(3, 1, 2));
  EXPECT_THAT(PooledWidths(gains, 8, 2), ElementsAre(4, 2, 2));
  EXPECT_THAT(PooledWidths(gains, 12, 1), ElementsAre(4, 4, 4));
}

// Gains need not descend: what a head takes second may only pay with a third.
TEST(PooledWidths, AreTheBestOfAll) {
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<Tensor> gains;
    for (int j = 0; j < 3; ++j) {
      gains.push_back(Normals({5}, fmt::format("gains {} {}", repeat, j)).square());
    }
    const auto brought = [&](const std::vector<int64_t>& widths) {
      double sum = 0;
      for (size_t j = 0; j < 3; ++j) sum += gains[j].narrow(0, 0, widths[j]).sum().item<double>();
      return sum;
    };
    for (int64_t total = 3; total <= 15; ++total) {
      double best = 0;
      for (int64_t a = 1; a <= 5; ++a) {
        for (int64_t b = 1; b <= 5; ++b) {
          const int64_t c = total - a - b;
          if (c >= 1 && c <= 5) best = std::max(best, brought({a, b, c}));
        }
      }
      const std::vector<int64_t> widths = PooledWidths(gains, total, 1);
      EXPECT_EQ(std::accumulate(widths.begin(), widths.end(), int64_t{0}), total);
      EXPECT_NEAR(brought(widths), best, 1e-12) << total;
    }
  }
}

TEST(PooledWidths, GiveMoreToLowerHeadsWhereAllIsAlike) {
  const Tensor nothing = at::zeros({4}, at::TensorOptions().dtype(kF64));
  EXPECT_THAT(PooledWidths({nothing, nothing, nothing}, 8, 1), ElementsAre(4, 3, 1));
}

}  // namespace
}  // namespace condense
