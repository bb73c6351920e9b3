// Whitened factorisation: claims T56 and T57 of methods.md 5.8 on explicit activations.
#include "compression/solvers/low_rank.h"

#include <gtest/gtest.h>

#include "tensor/linalg.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

constexpr int64_t kIn = 14, kOut = 11, kRank = 5;

struct Case {
  Tensor x = Activations(60, kIn, "low rank/x");
  Tensor w = Normals({kIn, kOut}, "low rank/w");
  Tensor c = GramOf(x);
};

double OutputError(const Tensor& x, const Tensor& w, const LowRank& factors) {
  return SquaredNorm(at::matmul(x, w) - at::matmul(at::matmul(x, factors.a), factors.b));
}

LowRank ByGram(const Case& data, int64_t rank) {
  return Factorise(data.w, Whitening::OfGram(data.c, 0, "C"), rank, "W");
}

TEST(Factorise, OutputErrorIsTheTailOfTheWhitenedSpectrum) {  // T56
  const Case data;
  const Tensor lower = at::linalg_cholesky(data.c);
  const Tensor spectrum = std::get<1>(at::linalg_svd(at::matmul(lower.t(), data.w), false));
  for (int64_t rank = 1; rank <= kOut; ++rank) {
    const LowRank factors = ByGram(data, rank);
    const double tail = SquaredNorm(spectrum.narrow(0, rank, kOut - rank));
    const double scale = 1e-10 * SquaredNorm(spectrum);
    EXPECT_NEAR(OutputError(data.x, data.w, factors), tail, scale) << rank;
    EXPECT_NEAR(factors.squared_error, tail, scale) << rank;
    EXPECT_NEAR(factors.squared_norm, SquaredNorm(at::matmul(data.x, data.w)), scale) << rank;
  }
}

TEST(Factorise, EveryRootOfTheGramMatrixGivesTheSameProduct) {  // T57
  const Case data;
  const LowRank factors = ByGram(data, kRank);
  const Roots roots = PsdRoots(data.c, "C");
  const auto [u, s, vh] = at::linalg_svd(at::matmul(roots.root, data.w), false);
  const Tensor product =
      at::matmul(roots.inverse_root,
                 at::matmul(u.narrow(1, 0, kRank) * s.narrow(0, 0, kRank), vh.narrow(0, 0, kRank)));
  EXPECT_LT(MaxDifference(at::matmul(factors.a, factors.b), product), 1e-9);
}

TEST(Factorise, ProjectionFormEqualsThePublishedFactors) {
  const Case data;
  const LowRank factors = ByGram(data, kRank);
  const Tensor upper = at::linalg_cholesky(data.c).t();  // S
  const auto [u, s, vh] = at::linalg_svd(at::matmul(upper, data.w), false);
  const Tensor root = s.narrow(0, 0, kRank).sqrt();
  const Tensor a = at::linalg_solve_triangular(upper, u.narrow(1, 0, kRank) * root, /*upper=*/true);
  const Tensor b = root.unsqueeze(1) * vh.narrow(0, 0, kRank);
  EXPECT_LT(MaxDifference(at::matmul(factors.a, factors.b), at::matmul(a, b)), 1e-9);
}

TEST(Factorise, IsTheTruncationOfTheOutputsThemselves) {
  // Without any statistic: the best rank-k approximation of X W, and no other pair does better.
  const Case data;
  const LowRank factors = ByGram(data, kRank);
  const auto [u, s, vh] = at::linalg_svd(at::matmul(data.x, data.w), false);
  const Tensor best =
      at::matmul(u.narrow(1, 0, kRank) * s.narrow(0, 0, kRank), vh.narrow(0, 0, kRank));
  const Tensor made = at::matmul(data.x, at::matmul(factors.a, factors.b));
  EXPECT_LT(MaxDifference(made, best), 1e-9 * s[0].item<double>());
  const double error = OutputError(data.x, data.w, factors);
  const Tensor scale = data.x.abs().mean(0).sqrt();
  for (const Whitening& other : {Whitening::None(), Whitening::Diagonal(scale)}) {
    EXPECT_GT(OutputError(data.x, data.w, Factorise(data.w, other, kRank, "W")), error);
  }
}

TEST(Factorise, ErrorsAreThoseOfItsOwnNorm) {
  const Case data;
  const Tensor scale = Normals({kIn}, "scale").abs() + 0.1;
  const LowRank plain = Factorise(data.w, Whitening::None(), kRank, "W");
  EXPECT_NEAR(plain.squared_error, SquaredNorm(data.w - at::matmul(plain.a, plain.b)), 1e-10);
  const LowRank scaled = Factorise(data.w, Whitening::Diagonal(scale), kRank, "W");
  const Tensor error = scale.unsqueeze(1) * (data.w - at::matmul(scaled.a, scaled.b));
  EXPECT_NEAR(scaled.squared_error, SquaredNorm(error), 1e-10);
}

TEST(Factorise, FullRankGivesTheWeightBack) {
  const Case data;
  EXPECT_LT(MaxDifference(at::matmul(ByGram(data, kOut).a, ByGram(data, kOut).b), data.w), 1e-10);
}

TEST(Factorise, SharesTheNormBetweenItsFactors) {
  const LowRank factors = ByGram({}, kRank);
  const Tensor columns = factors.a.square().sum(0), rows = factors.b.square().sum(1);
  EXPECT_LT(MaxDifference(columns / rows, at::ones_like(rows)), 1e-12);
}

TEST(Factorise, SurvivesInputsThatDoNotSpanTheirSpace) {
  Case data;
  data.x = data.x.narrow(0, 0, 6);  // fewer tokens than inputs
  data.c = GramOf(data.x);
  const Whitening whitening = Whitening::OfGram(data.c, 0, "C");
  const LowRank factors = Factorise(data.w, whitening, kRank, "W");
  EXPECT_TRUE(at::isfinite(factors.a).all().item<bool>());
  const Tensor spectrum = std::get<1>(at::linalg_svd(at::matmul(data.x, data.w), false));
  const double tail = SquaredNorm(spectrum.narrow(0, kRank, spectrum.size(0) - kRank));
  EXPECT_NEAR(OutputError(data.x, data.w, factors), tail, 1e-6 * SquaredNorm(spectrum));
  EXPECT_LT(factors.b.abs().max().item<double>(), 10 * data.w.abs().max().item<double>());
  // Without any data all inputs count alike.
  const LowRank blind =
      Factorise(data.w, Whitening::OfGram(at::zeros_like(data.c), 0, "C"), kRank, "W");
  EXPECT_TRUE(at::equal(blind.a, Factorise(data.w, Whitening::None(), kRank, "W").a));
}

TEST(Whitening, RecordsItsDamping) {
  const Case data;
  const double mean = data.c.diagonal().mean().item<double>();
  EXPECT_EQ(Whitening::OfGram(data.c, 0, "C").damping(), 0);
  const Whitening damped = Whitening::OfGram(data.c, 0.01, "C");
  EXPECT_NEAR(damped.damping(), 0.01 * mean, 1e-12 * mean);
  Tensor c = data.c.clone();
  c.diagonal().add_(0.01 * mean);
  EXPECT_LT(MaxDifference(damped.Apply(data.w), at::matmul(at::linalg_cholesky(c).t(), data.w)),
            1e-9);
  EXPECT_LT(*damped.condition(), *Whitening::OfGram(data.c, 0, "C").condition());
}

}  // namespace
}  // namespace condense
