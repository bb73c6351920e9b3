// Conjugate gradients in their own metric, against the textbook with explicit matrices.
#include "compression/refits/kronecker_metric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr double kRows = 30, kDamping = 1e-3;

// Two maps [4, 5] and [3, 4], the first with a bias.
struct Problem {
  Tensor gram_a = GramOf(Normals({30, 5}, "a")), gram_b = GramOf(Normals({30, 4}, "b"));
  Tensor energies = Normals({4}, "energies").square() + 0.1;
  Tensor jacobian = Normals({50, 4 * 5 + 4 + 3 * 4}, "jacobian");
  Tensor gradient = Normals({4 * 5 + 4 + 3 * 4}, "gradient");

  static Tensor Damped(const Tensor& gram) {
    return gram + kDamping * gram.diagonal().mean() * at::eye(gram.size(0), gram.options());
  }
  KroneckerMetric Metric() const {
    return {{{energies, DampedFactor(gram_a.clone(), kDamping, "a")},
             {Tensor(), DampedFactor(gram_b.clone(), kDamping, "b")}},
            kRows};
  }
  // K, explicit.
  Tensor Explicit() const {
    const Tensor bias = at::diag(energies * kRows);
    return at::block_diag({at::kron(at::diag(energies), Damped(gram_a)), bias,
                           at::kron(at::eye(3, kF64), Damped(gram_b))});
  }
};

Change Split(const Tensor& flat) {
  return {{flat.narrow(0, 0, 20).view({4, 5}).clone(), flat.narrow(0, 20, 4).clone()},
          {flat.narrow(0, 24, 12).view({3, 4}).clone(), Tensor()}};
}
Tensor Flat(const Change& change) {
  return at::cat({change[0].weight.flatten(), change[0].bias, change[1].weight.flatten()});
}

TEST(KroneckerMetric, SolvesWithTheProductOfGramMatricesAndEnergies) {
  const Problem problem;
  Change solution = Split(at::zeros_like(problem.gradient));
  problem.Metric().Solve(Split(problem.gradient), solution);
  EXPECT_LT(MaxDifference(at::matmul(problem.Explicit(), Flat(solution)), problem.gradient), 1e-9);
}

// Every product with K explicit, as the textbook has it.
TEST(KroneckerMetric, ProductsByRecurrenceAreThoseWithTheExplicitMetric) {
  const Problem problem;
  const Tensor k = problem.Explicit(), inverse = at::linalg_inv(k);
  for (const double ridge : {0.0, 1e-3, 2.0}) {
    const Tensor a = at::matmul(problem.jacobian.t(), problem.jacobian) + ridge * k;
    for (const int64_t iterations : {1, 2, 3, 4}) {
      Tensor x = at::zeros_like(problem.gradient), r = problem.gradient.clone();
      Tensor z = at::matmul(inverse, r), p = z;
      for (int64_t i = 0; i < iterations; ++i) {
        const Tensor alpha = r.dot(z) / p.dot(at::matmul(a, p)), before = r.dot(z);
        x = x + alpha * p;
        r = r - alpha * at::matmul(a, p);
        z = at::matmul(inverse, r);
        p = z + r.dot(z) / before * p;
      }
      const auto product = [&](const Change& change, Change& sum) {
        const Tensor seen = at::matmul(problem.jacobian, Flat(change));
        AddScaled(sum, 1, Split(at::matmul(problem.jacobian.t(), seen)));
      };
      const KroneckerMetric metric = problem.Metric();
      const Change step = SolveInMetric(
          {.metric = metric, .ridge = ridge, .iterations = iterations, .add_curvature = product},
          Split(problem.gradient));
      const double size = x.abs().max().item<double>();
      EXPECT_LT(MaxDifference(Flat(step), x), 1e-12 * size) << ridge << " " << iterations;
    }
  }
}

TEST(DampedFactor, DampsMoreWhereTheFactorisationFails) {
  const Tensor rows = Normals({3, 40}, "rows");
  // Rank 3, far below the precision of float32 otherwise.
  const Tensor gram = GramOf(rows).to(kF32);
  const Tensor lower = DampedFactor(gram.clone(), 1e-12, "test");
  const Tensor made = at::matmul(lower, lower.t()).to(kF64);
  EXPECT_TRUE(at::isfinite(lower).all().item<bool>());
  EXPECT_LT(MaxDifference(made, gram.to(kF64)), 1e-4 * gram.diagonal().mean().item<double>());
}

TEST(DampedFactor, SaysWhatIsNotFinite) {
  Tensor gram = at::eye(3, kF32);
  gram[1][2] = std::numeric_limits<double>::infinity();
  EXPECT_THAT([&] { DampedFactor(gram, 0.1, "layer 3"); },
              ThrowsMessage<NumericError>(HasSubstr("layer 3")));
}

}  // namespace
}  // namespace condense
