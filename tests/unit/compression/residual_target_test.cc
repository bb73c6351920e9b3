// Refits towards the residual stream, against least squares on explicit rows.
#include "compression/refits/residual_target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

constexpr int64_t kTokens = 200, kInputs = 10, kOutputs = 6;
constexpr double kRidge = 1e-3;

struct Case {
  Tensor y = Activations(kTokens, kInputs, "inputs") + 0.7;
  Tensor w = Normals({kInputs, kOutputs}, "weights");
  Tensor bias = Normals({kOutputs}, "bias");
  Tensor t = at::matmul(y, w) + bias + 0.5 * Normals({kTokens, kOutputs}, "missing");
};

TargetFit FitOf(const Tensor& y, const Tensor& t, bool intercept, const Tensor& weights = {}) {
  TargetSums sums;
  sums.Add(y, t, weights);
  return sums.Finish(intercept, "test");
}

Tensor Centred(const Tensor& x) { return x - x.mean(0); }

// Least squares with a ridge towards `start`, as more rows.
Tensor Ridged(const Tensor& y, const Tensor& t, const Tensor& start, double ridge) {
  const double root = std::sqrt(ridge);
  return LeastSquares(at::cat({y, root * at::eye(y.size(1), y.options())}),
                      at::cat({t, root * start}));
}

TEST(ResidualTarget, ReturnsTheOldWeightsWhereTheyReachTheTarget) {
  const Case rows;
  const Tensor reached = at::matmul(rows.y, rows.w) + rows.bias;
  const Tensor identity = at::eye(kInputs, kF64);
  const FittedMap fitted = FitThrough(FitOf(rows.y, reached, true), identity, rows.w, kRidge);
  EXPECT_LT(MaxDifference(fitted.weight, rows.w), 1e-10);
  EXPECT_LT(MaxDifference(fitted.bias, rows.bias), 1e-10);
  EXPECT_LT(*fitted.relative_error, 1e-6);
  const Tensor straight = at::matmul(rows.y, rows.w);
  const FittedMap plain = FitThrough(FitOf(rows.y, straight, false), identity, rows.w, kRidge);
  EXPECT_LT(MaxDifference(plain.weight, rows.w), 1e-10);
  EXPECT_FALSE(plain.bias.defined());
}

TEST(ResidualTarget, IsLeastSquaresWithARidgeTowardsTheOldWeights) {
  const Case rows;
  const Indices kept{0, 2, 3, 7, 9};
  for (const bool intercept : {false, true}) {
    const Tensor y = intercept ? Centred(rows.y) : rows.y, t = intercept ? Centred(rows.t) : rows.t;
    const double ridge = kRidge * y.square().sum(0).mean().item<double>();
    const Tensor expected = Ridged(Columns(y, kept), t, condense::Rows(rows.w, kept), ridge);
    const FittedMap fitted = FitKept(FitOf(rows.y, rows.t, intercept), kept, rows.w, kRidge);
    EXPECT_LT(MaxDifference(fitted.weight, expected), 1e-9);
    const Tensor missed = t - at::matmul(Columns(y, kept), expected);
    EXPECT_NEAR(*fitted.relative_error, std::sqrt(SquaredNorm(missed) / SquaredNorm(t)), 1e-9);
    if (!intercept) continue;
    const Tensor bias = rows.t.mean(0) - at::matmul(Columns(rows.y, kept).mean(0), expected);
    EXPECT_LT(MaxDifference(fitted.bias, bias), 1e-9);
  }
}

TEST(ResidualTarget, FitsBehindASubspace) {
  const Case rows;
  const Tensor z = std::get<0>(at::linalg_qr(Normals({kInputs, 4}, "subspace")));
  const double ridge = kRidge * rows.y.square().sum(0).mean().item<double>();
  const Tensor expected = Ridged(at::matmul(rows.y, z), rows.t, at::matmul(z.t(), rows.w), ridge);
  const FittedMap fitted = FitThrough(FitOf(rows.y, rows.t, false), z, rows.w, kRidge);
  EXPECT_LT(MaxDifference(fitted.weight, expected), 1e-9);
}

TEST(ResidualTarget, GivesTheGramMatrixOfItsInputsWhetherCentredOrNot) {
  const Case rows;
  const Tensor kept = at::tensor({1, 4, 8}, at::dtype(kI64));
  for (const bool intercept : {false, true}) {
    const TargetFit fit = FitOf(rows.y, rows.t, intercept);
    for (const Tensor& some : {Tensor(), kept}) {
      const Tensor y = some.defined() ? rows.y.index_select(1, some) : rows.y, gram = GramOf(y);
      const RowGram made = fit.InputGram(some, kF64);
      EXPECT_LT(MaxDifference(made.sum, gram), 1e-10 * gram.abs().max().item<double>());
      EXPECT_EQ(made.rows, kTokens);
      EXPECT_EQ(made.mean.defined(), intercept);
      if (!intercept) continue;
      EXPECT_LT(MaxDifference(made.mean, y.mean(0)), 1e-10);
    }
  }
}

TEST(ResidualTarget, SumsBatchesAsOne) {
  const Case rows;
  const TargetFit whole = FitOf(rows.y, rows.t, true);
  TargetSums sums;
  sums.Add(rows.y.narrow(0, 0, 60).view({3, 20, kInputs}),
           rows.t.narrow(0, 0, 60).view({3, 20, kOutputs}), {});
  sums.Add(rows.y.narrow(0, 60, 140), rows.t.narrow(0, 60, 140), {});
  const TargetFit parts = sums.Finish(true, "test");
  EXPECT_LT(MaxDifference(whole.regression.c, parts.regression.c), 1e-9);
  EXPECT_LT(MaxDifference(whole.regression.b, parts.regression.b), 1e-9);
  EXPECT_LT(MaxDifference(whole.input_mean, parts.input_mean), 1e-12);
  EXPECT_LT(MaxDifference(whole.target_mean, parts.target_mean), 1e-12);
  EXPECT_NEAR(whole.regression.target_norm, parts.regression.target_norm,
              1e-9 * whole.regression.target_norm);
}

TEST(ResidualTarget, AWeightOfTwoIsTheTokenTwice) {
  const Case rows;
  Tensor weights = at::ones({kTokens}, kF64);
  weights.narrow(0, 0, 50).fill_(2);
  const TargetFit weighted = FitOf(rows.y, rows.t, true, weights);
  const TargetFit twice = FitOf(at::cat({rows.y, rows.y.narrow(0, 0, 50)}),
                                at::cat({rows.t, rows.t.narrow(0, 0, 50)}), true);
  EXPECT_LT(MaxDifference(weighted.regression.c, twice.regression.c), 1e-9);
  EXPECT_LT(MaxDifference(weighted.regression.b, twice.regression.b), 1e-9);
  EXPECT_LT(MaxDifference(weighted.target_mean, twice.target_mean), 1e-12);
  EXPECT_NEAR(weighted.regression.target_norm, twice.regression.target_norm,
              1e-9 * twice.regression.target_norm);
}

TEST(ResidualTarget, WeighsTokensByTheInverseSquaredNorm) {
  const Tensor stream = at::tensor({3.0, 4.0, 0.0, 0.0, 1.0, 0.0}, kF64).view({3, 2});
  EXPECT_FALSE(TokenWeights(TokenWeight::kNone, stream).defined());
  EXPECT_LT(MaxDifference(TokenWeights(TokenWeight::kInverseNorm, stream),
                          at::tensor({0.04, 0.0, 1.0}, kF64)),
            1e-12);
}

TEST(ResidualTarget, StatisticsOfTheDenseModelGiveTheSameFit) {
  const Case rows;
  const Tensor own = at::matmul(rows.y, rows.w) + rows.bias;
  const TargetFit direct = FitOf(rows.y, own, true);
  const TargetFit dense = DenseFit(GramOf(rows.y), rows.y.mean(0), kTokens, rows.w, rows.bias);
  EXPECT_LT(MaxDifference(direct.regression.c, dense.regression.c), 1e-9);
  EXPECT_LT(MaxDifference(direct.regression.b, dense.regression.b), 1e-9);
  EXPECT_LT(MaxDifference(direct.target_mean, dense.target_mean), 1e-10);
  EXPECT_NEAR(direct.regression.target_norm, dense.regression.target_norm,
              1e-9 * dense.regression.target_norm);
}

TEST(ResidualTarget, InputsWithoutDataKeepTheirOldRows) {
  const Case rows;
  Tensor y = rows.y.clone();
  y.select(1, 3).zero_();
  const FittedMap one = FitKept(FitOf(y, rows.t, false), {1, 3}, rows.w, kRidge);
  EXPECT_EQ(MaxDifference(one.weight[1], rows.w[3]), 0);
  const FittedMap all = FitKept(FitOf(at::zeros_like(y), rows.t, false), {1, 3}, rows.w, kRidge);
  EXPECT_EQ(MaxDifference(all.weight, condense::Rows(rows.w, {1, 3})), 0);
}

TEST(ResidualTarget, UndoesALinearDriftOfWhatIsRead) {
  const Case rows;
  const Tensor mix = at::eye(kInputs, kF64) + 0.1 * Normals({kInputs, kInputs}, "drift");
  const Tensor dense = at::matmul(rows.y, mix) + 0.3;  // what the map was made for
  const auto follow = [&](double share, Linear& linear) {
    TargetSums sums;
    // Many more rows than the ridge counts for.
    for (int i = 0; i < 3; ++i) sums.Add(rows.y, dense, {});
    FollowDrift(sums, share, "test", {&linear});
  };
  Linear biased{.weight = rows.w.t().contiguous(), .bias = rows.bias};
  follow(1, biased);
  const Tensor wanted = at::matmul(dense, rows.w) + rows.bias;
  const double before = SquaredNorm(at::matmul(rows.y, rows.w) + rows.bias - wanted);
  EXPECT_LT(SquaredNorm(biased.Forward(rows.y) - wanted), 1e-2 * before);

  Linear same{.weight = rows.w.t().contiguous()};
  follow(0, same);
  EXPECT_LT(MaxDifference(same.weight.t(), rows.w), 1e-12);
}

TEST(ResidualTarget, SaysWhereASumIsNotFinite) {
  TargetSums sums;
  sums.Add(at::full({4, 2}, NAN, kF64), at::zeros({4, 1}, kF64), {});
  EXPECT_THAT([&] { sums.Finish(false, "layer 3"); },
              testing::ThrowsMessage<NumericError>(testing::HasSubstr("layer 3")));
}

}  // namespace
}  // namespace condense
