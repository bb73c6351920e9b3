// Refits and elimination towards a target of their own, against explicit least squares.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "compression/solvers/elimination.h"
#include "compression/solvers/refit.h"
#include "compression/solvers/regression.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

constexpr double kRidge = 1e-2;

struct Problem {
  Tensor y, t, w_old;  // [n, m], [n, out], [m, out]
  Regression r() const { return {GramOf(y), at::matmul(y.t(), t), SquaredNorm(t)}; }
  double ridge() const { return kRidge * GramOf(y).diagonal().mean().item<double>(); }

  // The best weights on kept channels under the ridge, by least squares with further rows.
  Tensor Solution(const Indices& kept) const {
    const double root = std::sqrt(ridge());
    const Tensor eye = at::eye(static_cast<int64_t>(kept.size()), y.options());
    return LeastSquares(at::cat({Columns(y, kept), root * eye}),
                        at::cat({t, root * Rows(w_old, kept)}));
  }
  // ||T - Y_S W||^2 + ridge ||W - W_old||^2, W zero elsewhere.
  double Penalised(const Indices& kept) const {
    const Tensor w = Solution(kept);
    Tensor change = -w_old.clone();
    change.index_add_(0, IndexTensor(kept), w);
    return SquaredNorm(t - at::matmul(Columns(y, kept), w)) + ridge() * SquaredNorm(change);
  }
};

// A target near Y W_old, but not equal to it.
Problem MakeProblem(int64_t m, const std::string& purpose) {
  Problem p{Activations(60, m, purpose + "/y"), {}, Normals({m, 5}, purpose + "/w")};
  const Tensor exact = at::matmul(p.y, p.w_old);
  p.t = exact + 0.3 * exact.square().mean().sqrt() * Normals({60, 5}, purpose + "/rest");
  return p;
}

TEST(RefitTowards, EqualsLeastSquaresWithARidgeTowardsTheOldWeights) {
  const Problem p = MakeProblem(9, "towards");
  for (const Indices& kept : {Indices{0, 2, 3, 7}, Complement({}, 9)}) {
    const RefitResult refit = RefitTowards(p.r(), p.w_old, kept, kRidge);
    EXPECT_LT(MaxDifference(refit.weight, p.Solution(kept)), 1e-9);
    EXPECT_NEAR(
        refit.squared_error / SquaredNorm(p.t - at::matmul(Columns(p.y, kept), refit.weight)), 1,
        1e-9);
    EXPECT_EQ(refit.squared_norm, SquaredNorm(p.t));
    const RefitResult plain = RefitTowards(p.r(), p.w_old, kept, 0);
    EXPECT_LT(MaxDifference(plain.weight, LeastSquares(Columns(p.y, kept), p.t)), 1e-8);
  }
}

TEST(RefitTowards, TheOldOutputsOnAllChannelsReturnsTheOldWeights) {
  Problem p = MakeProblem(9, "nothing to do");
  const Regression r{GramOf(p.y), at::matmul(GramOf(p.y), p.w_old)};
  for (const double ridge : {0.0, kRidge}) {
    EXPECT_TRUE(at::equal(RefitTowards(r, p.w_old, Complement({}, 9), ridge).weight, p.w_old));
  }
}

TEST(RefitTowards, TheOldOutputsIsTheRefitInDeltaForm) {
  const Problem p = MakeProblem(9, "delta");
  const Tensor c = GramOf(p.y);
  const Indices kept{1, 2, 4, 5, 8};
  EXPECT_LT(MaxDifference(RefitTowards({c, at::matmul(c, p.w_old)}, p.w_old, kept, 0).weight,
                          RefitDelta(c, p.w_old, kept, 0).weight),
            1e-9);
}

TEST(RefitTowards, LeavesChannelsWithoutDataAlone) {
  Problem p = MakeProblem(6, "dead");
  p.y.select(1, 2).zero_();
  const RefitResult refit = RefitTowards(p.r(), p.w_old, {1, 2, 5}, 0);
  EXPECT_TRUE(at::equal(refit.weight[1], p.w_old[2]));
}

TEST(Centred, WithItsInterceptIsLeastSquaresWithAConstant) {
  Problem p = MakeProblem(7, "constant");
  p.y = p.y + 2.0, p.t = p.t - 5.0;
  const Tensor mean_y = p.y.mean(0), mean_t = p.t.mean(0);
  const Indices kept{0, 3, 4};
  const RefitResult refit = RefitTowards(Centred(p.r(), mean_y, mean_t, 60), p.w_old, kept, 0);
  const Tensor bias = Intercept(mean_y.index_select(0, IndexTensor(kept)), mean_t, refit.weight);
  const Tensor with_ones = at::cat({Columns(p.y, kept), at::ones({60, 1}, p.y.options())}, 1);
  const Tensor expected = LeastSquares(with_ones, p.t);
  EXPECT_LT(MaxDifference(refit.weight, expected.narrow(0, 0, 3)), 1e-9);
  EXPECT_LT(MaxDifference(bias, expected[3]), 1e-8);
  EXPECT_NEAR(refit.squared_error / SquaredNorm(p.t - at::matmul(with_ones, expected)), 1, 1e-9);
}

TEST(EliminateTowards, RemovesAtEachStepTheChannelWhoseLossCostsLeast) {
  for (const char* purpose : {"greedy/a", "greedy/b", "greedy/c"}) {
    const Problem p = MakeProblem(10, purpose);
    const Elimination elimination =
        EliminateTowards(p.r(), p.w_old, 9, {.relative_damping = kRidge, .block = 1});
    Indices kept = Complement({}, 10);
    double error = p.Penalised(kept);
    for (size_t step = 0; step < 9; ++step) {
      int64_t best = -1;
      double least = std::numeric_limits<double>::infinity();
      for (const int64_t candidate : kept) {
        Indices rest = kept;
        rest.erase(std::find(rest.begin(), rest.end(), candidate));
        const double penalised = p.Penalised(rest);
        if (penalised < least) least = penalised, best = candidate;
      }
      EXPECT_EQ(elimination.order[step], best);
      EXPECT_NEAR(elimination.costs[static_cast<int64_t>(step)].item<double>() / (least - error), 1,
                  1e-6);
      kept.erase(std::find(kept.begin(), kept.end(), elimination.order[step]));
      error = least;
    }
  }
}

TEST(EliminateTowards, TheOldOutputsIsTheEliminationOfTheOldWeights) {
  const Problem p = MakeProblem(40, "same");
  const Tensor c = GramOf(p.y);
  const EliminationOptions options{.relative_damping = 1e-3, .block = 4};
  const Elimination old = EliminateBackward(c, p.w_old, 25, options);
  const Elimination towards = EliminateTowards({c, at::matmul(c, p.w_old)}, p.w_old, 25, options);
  EXPECT_EQ(towards.order, old.order);
  EXPECT_LT(MaxDifference(towards.costs / old.costs, at::ones_like(old.costs)), 1e-6);
}

}  // namespace
}  // namespace condense
