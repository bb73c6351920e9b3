// Properties of the float64 linear algebra, on matrices made by the project's own generator.
#include "tensor/linalg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"

namespace condense {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const auto kDouble = at::TensorOptions().dtype(kF64);

Tensor Normals(std::vector<int64_t> shape, const char* purpose) {
  Tensor t = at::empty(shape, kDouble);
  Random random(7, purpose);
  double* values = t.data_ptr<double>();
  for (int64_t i = 0; i < t.numel(); ++i) values[i] = random.Normal();
  return t;
}

Tensor Gram(const Tensor& x) { return at::matmul(x.transpose(-1, -2), x); }

double MaxDifference(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// A matrix with known eigenvalues: Q diag(values) Q^T.
Tensor WithSpectrum(const std::vector<double>& values) {
  const auto n = static_cast<int64_t>(values.size());
  const Tensor q = OrthogonalFrom(Normals({n, n}, "spectrum"));
  const Tensor d = at::tensor(values, kDouble);
  return at::matmul(q * d, q.t());
}

TEST(EighDescending, RecomposesTheMatrixWithFallingValues) {
  const Tensor a = Gram(Normals({40, 12}, "eigh"));
  const Eigen eigen = EighDescending(a, "a");
  EXPECT_LT(MaxDifference(at::matmul(eigen.vectors * eigen.values, eigen.vectors.t()), a), 1e-12);
  EXPECT_TRUE((eigen.values.diff() <= 0).all().item<bool>());
}

TEST(EighDescending, MakesTheLargestEntryOfEachVectorPositive) {
  const Tensor vectors = EighDescending(Gram(Normals({40, 12}, "sign")), "a").vectors;
  EXPECT_TRUE((vectors.amax(-2) >= -vectors.amin(-2)).all().item<bool>());
}

TEST(EighDescending, OfABatchEqualsEachMatrixAlone) {
  const Tensor batch = Gram(Normals({2, 3, 30, 8}, "batch"));
  const Eigen all = EighDescending(batch, "batch");
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 3; ++j) {
      const Eigen one = EighDescending(batch[i][j], "one");
      EXPECT_LT(MaxDifference(all.values[i][j], one.values), 1e-12);
      EXPECT_LT(MaxDifference(all.vectors[i][j], one.vectors), 1e-10);
    }
  }
}

TEST(EighDescending, TakesTheSymmetricPart) {
  const Tensor a = at::tensor({2.0, 1.0, 3.0, 2.0}, kDouble).view({2, 2});
  EXPECT_LT(MaxDifference(EighDescending(a, "a").values, at::tensor({4.0, 0.0}, kDouble)), 1e-14);
}

TEST(EighDescending, RefusesNonFiniteValuesByName) {
  Tensor a = at::eye(4, kDouble);
  a[2][1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT([&] { EighDescending(a, "layer 3 C_h"); },
              ThrowsMessage<NumericError>(AllOf(HasSubstr("layer 3 C_h"), HasSubstr("[2, 1]"))));
}

TEST(SignFixedColumns, BreaksTiesByTheLowerRow) {
  const Tensor v = at::tensor({-0.5, 0.5, 0.5, -0.5}, kDouble).view({2, 2});
  const Tensor expected = at::tensor({0.5, 0.5, -0.5, -0.5}, kDouble).view({2, 2});
  EXPECT_TRUE(at::equal(SignFixedColumns(v), expected));
}

TEST(CholeskyEscalated, AddsNothingToADefiniteMatrix) {
  const Tensor a = Gram(Normals({50, 10}, "definite"));
  const Factor factor = CholeskyEscalated(a, "a");
  EXPECT_EQ(factor.damping, 0);
  EXPECT_LT(MaxDifference(at::matmul(factor.lower, factor.lower.t()), a), 1e-12);
}

TEST(CholeskyEscalated, RecordsTheDampingThatItNeeded) {
  // Smallest eigenvalue -3e-9 with mean(diag) = 1: 1e-10 is too little, 1e-8 is enough.
  const Tensor a = WithSpectrum({2.0, 1.5, 0.5 + 3e-9, -3e-9});
  const Factor factor = CholeskyEscalated(a, "a");
  EXPECT_NEAR(factor.damping, 1e-8, 1e-14);
  const Tensor damped = a + factor.damping * at::eye(4, kDouble);
  EXPECT_LT(MaxDifference(at::matmul(factor.lower, factor.lower.t()), damped), 1e-14);
}

TEST(CholeskyEscalated, FailsOnAnIndefiniteMatrixWithItsSpectrum) {
  const Tensor a = WithSpectrum({2.0, 1.0, -0.5});
  EXPECT_THAT([&] { CholeskyEscalated(a, "layer 1 C"); },
              ThrowsMessage<NumericError>(AllOf(HasSubstr("layer 1 C"), HasSubstr("-5.000e-01"))));
  EXPECT_THROW(CholeskyEscalated(at::zeros({3, 3}, kDouble), "zero"), NumericError);
  EXPECT_THROW(CholeskyEscalated(-at::eye(3, kDouble), "negative"), NumericError);
}

TEST(CholeskySolve, SolvesAndInverts) {
  const Tensor a = Gram(Normals({50, 10}, "solve"));
  const Tensor x = Normals({10, 3}, "x");
  const Factor factor = CholeskyEscalated(a, "a");
  EXPECT_LT(MaxDifference(CholeskySolve(factor, at::matmul(a, x)), x), 1e-10);
  EXPECT_LT(MaxDifference(at::matmul(InverseOfFactor(factor), a), at::eye(10, kDouble)), 1e-10);
}

TEST(PsdRoots, MultiplyToTheMatrixAndToTheIdentity) {
  const Tensor a = Gram(Normals({2, 40, 9}, "roots"));  // batched
  const Roots roots = PsdRoots(a, "a");
  EXPECT_EQ(roots.excluded, 0);
  EXPECT_LT(MaxDifference(at::matmul(roots.root, roots.root), a), 1e-11);
  const Tensor identity = at::eye(9, kDouble).expand({2, 9, 9});
  EXPECT_LT(MaxDifference(at::matmul(roots.root, roots.inverse_root), identity), 1e-11);
}

TEST(PsdRoots, LeaveOutTheNullSpaceAndCountIt) {
  const Tensor a = Gram(Normals({5, 8}, "rank"));  // rank 5 of 8
  const Roots roots = PsdRoots(a, "a");
  EXPECT_EQ(roots.excluded, 3);
  const Tensor projector = at::matmul(roots.root, roots.inverse_root);
  EXPECT_LT(MaxDifference(at::matmul(projector, projector), projector), 1e-11);
  EXPECT_NEAR(projector.trace().item<double>(), 5, 1e-11);
  EXPECT_EQ(PsdRoots(at::zeros({4, 4}, kDouble), "zero").excluded, 4);
}

TEST(PsdPseudoInverse, SatisfiesThePenroseConditions) {
  const Tensor a = Gram(Normals({3, 5, 8}, "pinv"));  // three matrices of rank 5
  const Tensor p = PsdPseudoInverse(a, "a");
  const Tensor ap = at::matmul(a, p);
  EXPECT_LT(MaxDifference(at::matmul(ap, a), a), 1e-11);
  EXPECT_LT(MaxDifference(at::matmul(p, ap), p), 1e-11);
  EXPECT_LT(MaxDifference(ap, ap.transpose(-1, -2)), 1e-11);
  EXPECT_LT(MaxDifference(p, at::linalg_pinv(a, 1e-10, /*hermitian=*/true)), 1e-10);
}

TEST(OrthogonalFrom, IsOrthogonalAndKeepsTheSignOfItsSource) {
  const Tensor normals = Normals({16, 16}, "haar");
  const Tensor q = OrthogonalFrom(normals);
  EXPECT_LT(MaxDifference(at::matmul(q.t(), q), at::eye(16, kDouble)), 1e-14);
  // With a positive diagonal of R the first column is the first column of the numbers, normalised.
  const Tensor first = normals.select(1, 0);
  EXPECT_LT(MaxDifference(q.select(1, 0), first / first.norm()), 1e-14);
}

TEST(RequireFinite, NamesTheFirstBadIndexInEveryFloatType) {
  for (const DType dtype : {kF64, kF32, kF16, kBF16}) {
    Tensor t = at::zeros({3, 4, 5}, at::TensorOptions().dtype(dtype));
    EXPECT_NO_THROW(RequireFinite(t, "t"));
    t[1][2][3] = -std::numeric_limits<double>::infinity();
    t[2][0][0] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_THAT([&] { RequireFinite(t, "gate_proj"); },
                ThrowsMessage<NumericError>(AllOf(HasSubstr("gate_proj"), HasSubstr("2 value(s)"),
                                                  HasSubstr("-inf"), HasSubstr("[1, 2, 3]"))));
  }
  EXPECT_NO_THROW(RequireFinite(at::zeros({0}, kDouble), "empty"));
  EXPECT_NO_THROW(RequireFinite(at::arange(4), "integers"));
}

}  // namespace
}  // namespace condense
