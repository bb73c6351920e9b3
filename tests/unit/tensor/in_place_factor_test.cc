// Factors, solves and inverses in one triangle, against LibTorch's on copies. Sizes go over the
// borders of blocks.
#include "tensor/in_place_factor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

double MaxDifference(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// A part of a buffer whose last column belongs to something else.
struct Buffer {
  Tensor whole, a;
  explicit Buffer(const Tensor& matrix) {
    const int64_t n = matrix.size(0);
    whole = at::full({n, n + 1}, 7.0, matrix.options());
    a = whole.narrow(1, 0, n).copy_(matrix);
  }
  bool IsIntact(const Tensor& matrix) const {
    return at::equal(a.triu(1), matrix.triu(1)) &&
           (whole.select(1, matrix.size(0)) == 7.0).all().item<bool>();
  }
};

class InPlaceFactorOf : public ::testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override {
    at::manual_seed(5);
    const Tensor x = at::randn({2 * n_ + 3, n_}, kF64);
    matrix_ = at::mm(x.t(), x);
    ridged_ = matrix_ + 0.5 * at::eye(n_, kF64);
    right_ = at::randn({n_, 3}, kF64);
  }
  const int64_t n_ = GetParam();
  Tensor matrix_, ridged_, right_;
  InferenceScope inference_;
};

TEST_P(InPlaceFactorOf, SolvesAndLeavesTheUpperTriangleAlone) {
  const Buffer buffer(matrix_);
  const InPlaceFactor factor(buffer.a, 0.5, "a");
  EXPECT_EQ(factor.damping(), 0);
  EXPECT_TRUE(buffer.IsIntact(matrix_));
  const Factor expected = CholeskyEscalated(ridged_, "a");
  EXPECT_LT(MaxDifference(buffer.a.tril(), expected.lower), 1e-11 * static_cast<double>(n_));
  EXPECT_NEAR(factor.Condition() / ConditionOf(expected), 1, 1e-10);
  Tensor solved = right_.clone();
  const double gained = factor.Solve(solved);
  EXPECT_LT(MaxDifference(at::mm(ridged_, solved), right_), 1e-10);
  Tensor used = right_.clone();
  EXPECT_EQ(factor.Energy(used), gained);
  EXPECT_NEAR(gained / (solved * right_).sum().item<double>(), 1, 1e-11);
}

TEST_P(InPlaceFactorOf, InvertsInOneTriangle) {
  const Buffer buffer(matrix_);
  InPlaceFactor factor(buffer.a, 0.5, "a");
  factor.Invert();
  EXPECT_TRUE(buffer.IsIntact(matrix_));
  const Tensor inverse = buffer.a.tril() + buffer.a.tril(-1).t();
  EXPECT_LT(MaxDifference(at::mm(inverse, ridged_), at::eye(n_, kF64)), 1e-10);
}

TEST_P(InPlaceFactorOf, GivesTheDiagonalOfTheInverse) {
  const Buffer buffer(matrix_);
  const Tensor diagonal = InPlaceFactor(buffer.a, 0.5, "a").TakeInverseDiagonal();
  const Tensor expected = at::linalg_inv(ridged_).diagonal();
  EXPECT_LT(MaxDifference(diagonal / expected, at::ones_like(expected)), 1e-10);
}

TEST_P(InPlaceFactorOf, AddsToEitherTriangleAlone) {
  const Tensor x = at::randn({n_, 4}, kF64), y = at::randn({n_, 4}, kF64);
  const Tensor left = at::cat({x, y}, 1), right = at::cat({y, x}, 1);
  const Tensor expected = matrix_ - at::mm(left, right.t());
  Tensor lower = matrix_.clone(), upper = matrix_.clone();
  // With beta 0 nothing of what is there counts, whatever it is.
  Tensor product = at::where(at::ones_like(matrix_).triu() > 0,
                             std::numeric_limits<double>::quiet_NaN(), matrix_);
  AddToLower(lower, left, right, -1);
  AddToUpper(upper, left, right, -1);
  AddToUpper(product, x, x, 2, /*beta=*/0);
  EXPECT_LT(MaxDifference(lower.tril(), expected.tril()), 1e-11);
  EXPECT_LT(MaxDifference(upper.triu(), expected.triu()), 1e-11);
  EXPECT_LT(MaxDifference(product.triu(), 2 * at::mm(x, x.t()).triu()), 1e-11);
  EXPECT_TRUE(at::equal(lower.triu(1), matrix_.triu(1)));
  EXPECT_TRUE(at::equal(upper.tril(-1), matrix_.tril(-1)));
  EXPECT_TRUE(at::equal(product.tril(-1), matrix_.tril(-1)));
}

TEST_P(InPlaceFactorOf, QuadraticFormIsThatOfTheMatrix) {
  const double expected = (right_ * at::mm(matrix_, right_)).sum().item<double>();
  EXPECT_NEAR(QuadraticForm(matrix_, right_) / expected, 1, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Sizes, InPlaceFactorOf, ::testing::Values(1, 6, 512, 1100));

TEST(InPlaceFactor, DampsAsTheFactorisationOfACopyDoes) {
  const InferenceScope inference;
  at::manual_seed(6);
  // Rank 520 of 600: the second block fails.
  const Tensor x = at::randn({520, 600}, kF64), matrix = at::mm(x.t(), x);
  const Buffer buffer(matrix);
  const InPlaceFactor factor(buffer.a, 0, "a");
  const Factor expected = CholeskyEscalated(matrix, "a");
  EXPECT_GT(factor.damping(), 0);
  EXPECT_NEAR(factor.damping() / expected.damping, 1, 1e-12);
  EXPECT_TRUE(buffer.IsIntact(matrix));
  const Tensor damped = matrix + factor.damping() * at::eye(600, kF64);
  const Tensor lower = buffer.a.tril();
  EXPECT_LT(MaxDifference(at::mm(lower, lower.t()), damped), 1e-9);
}

TEST(InPlaceFactor, DampsFurtherWhenAsked) {
  const InferenceScope inference;
  const Tensor matrix = 2 * at::eye(5, kF64);
  const Buffer buffer(matrix);
  InPlaceFactor factor(buffer.a, 1, "a");
  factor.Damp(6);
  EXPECT_EQ(factor.damping(), 6);
  EXPECT_EQ(factor.MeanDiagonal(), 3);
  EXPECT_LT(MaxDifference(buffer.a.diagonal(), at::full({5}, 3.0, kF64)), 1e-15);
}

TEST(InPlaceFactor, FailsWithTheNameOfTheMatrix) {
  const InferenceScope inference;
  EXPECT_THAT([] { InPlaceFactor(-at::eye(3, kF64), 0, "layer 1 C"); },
              ThrowsMessage<NumericError>(HasSubstr("layer 1 C: Cholesky")));
  Tensor bad = at::eye(3, kF64);
  bad[2][1] = bad[1][2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT([&] { InPlaceFactor(bad, 0, "C"); },
              ThrowsMessage<NumericError>(HasSubstr("not finite")));
}

}  // namespace
}  // namespace condense
