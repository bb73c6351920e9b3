// Value/output subspaces against the published form and explicit data (T18-T24).
#include <gtest/gtest.h>

#include <cmath>

#include "compression/solvers/refit.h"
#include "compression/solvers/value_output.h"
#include "tensor/linalg.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

constexpr int64_t kModel = 20, kWidth = 6, kTokens = 50;

// Inputs, one value head and the output maps of its query heads.
struct Head {
  Tensor x, w_v;            // [kTokens, kModel], [kModel, kWidth]
  std::vector<Tensor> w_o;  // [kWidth, kModel]
  Tensor v() const { return at::matmul(x, w_v); }
  Tensor Gram() const { return GramOf(v()); }
  double ErrorOf(const ValueSubspace& kept) const {
    double error = 0;
    for (size_t i = 0; i < w_o.size(); ++i) {
      error += SquaredNorm(at::matmul(v(), w_o[i]) -
                           at::matmul(at::matmul(v(), kept.value), kept.output[i]));
    }
    return error;
  }
};

Head MakeHead(const std::string& purpose, int queries) {
  Head head{
      Activations(kTokens, kModel, purpose + "/x"), Normals({kModel, kWidth}, purpose + "/v"), {}};
  for (int i = 0; i < queries; ++i) {
    head.w_o.push_back(Normals({kWidth, kModel}, purpose + "/o" + std::to_string(i)));
  }
  return head;
}

TEST(ValueSubspaces, EqualThePublishedForm) {  // T18
  const Head head = MakeHead("published", 1);
  const Tensor root = PsdRoots(GramOf(head.x), "C").root;
  const auto [u, s, vt] = at::linalg_svd(at::matmul(root, head.w_v), /*full_matrices=*/false);
  const auto [u2, s2, vt2] =
      at::linalg_svd(at::matmul(s.unsqueeze(1) * vt, head.w_o[0]), /*full_matrices=*/false);
  const int64_t k = 4;
  const Tensor value = at::linalg_solve(root, at::matmul(u, u2.narrow(1, 0, k)));
  const Tensor output = s2.narrow(0, 0, k).unsqueeze(1) * vt2.narrow(0, 0, k);
  const ValueSubspaces subspaces(head.Gram(), head.w_o, {.relative_delta = 0});
  const ValueSubspace kept = subspaces.Keep(k);
  const Tensor expected = at::matmul(value, output);
  const Tensor product = at::matmul(at::matmul(head.w_v, kept.value), kept.output[0]);
  EXPECT_LT(MaxDifference(product, expected) / expected.abs().max().item<double>(), 1e-10);
  EXPECT_LT(MaxDifference(subspaces.spectrum() / s2.square(), at::ones_like(s2)), 1e-10);
}

TEST(ValueSubspaces, ErrorIsTheTailOfTheSpectrum) {  // T19
  for (const int queries : {1, 3}) {
    const Head head = MakeHead("tail", queries);
    for (const bool joint : {true, false}) {
      const ValueSubspaces subspaces(head.Gram(), head.w_o, {.joint = joint});
      for (int64_t k = 1; k < kWidth; ++k) {
        const ValueSubspace kept = subspaces.Keep(k);
        EXPECT_NEAR(head.ErrorOf(kept) / kept.squared_error, 1, 1e-6);
      }
      double norm = 0;
      for (const Tensor& w : head.w_o) norm += SquaredNorm(at::matmul(head.v(), w));
      EXPECT_NEAR(subspaces.squared_norm() / norm, 1, 1e-12);
    }
  }
}

TEST(ValueSubspaces, OfFullWidthReproduceTheProduct) {  // T20
  const Head head = MakeHead("full", 2);
  const ValueSubspace kept = ValueSubspaces(head.Gram(), head.w_o, {}).Keep(kWidth);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_LT(MaxDifference(at::matmul(kept.value, kept.output[i]), head.w_o[i]), 1e-8);
  }
}

TEST(ValueSubspaces, JointlyBeatEigenvectorsAndAlternatingSearch) {  // T22
  const Head head = MakeHead("joint", 3);
  const Tensor c = head.Gram();
  for (int64_t k = 1; k < kWidth; ++k) {
    const double joint = ValueSubspaces(c, head.w_o, {}).Keep(k).squared_error;
    EXPECT_LE(joint,
              ValueSubspaces(c, head.w_o, {.joint = false}).Keep(k).squared_error * (1 + 1e-9));
    // Alternating least squares on ||V (W - T O)|| from several starts never finds better.
    const Tensor v = head.v(), all = at::cat(head.w_o, 1), target = at::matmul(v, all);
    for (int start = 0; start < 5; ++start) {
      Tensor t = Normals({kWidth, k}, "start" + std::to_string(start)), o;
      for (int step = 0; step < 60; ++step) {
        o = LeastSquares(at::matmul(v, t), target);
        t = LeastSquares(v, LeastSquares(o.t(), target.t()).t());
      }
      EXPECT_GE(SquaredNorm(target - at::matmul(at::matmul(v, t), o)), joint * (1 - 1e-6));
    }
  }
}

TEST(ValueSubspaces, BalanceKeepsTheScaleOfTheValuesAndTheProduct) {  // T23
  const Head head = MakeHead("balance", 1);
  const ValueSubspace balanced = ValueSubspaces(head.Gram(), head.w_o, {}).Keep(4);
  const ValueSubspace plain = ValueSubspaces(head.Gram(), head.w_o, {.balance = false}).Keep(4);
  EXPECT_LT(MaxDifference(at::matmul(balanced.value, balanced.output[0]),
                          at::matmul(plain.value, plain.output[0])),
            1e-9);
  const double rms = std::sqrt(SquaredNorm(head.v()) / (kTokens * kWidth));
  const Tensor channels = at::matmul(head.v(), balanced.value).square().mean(0).sqrt();
  EXPECT_LT(MaxDifference(channels / rms, at::ones_like(channels)), 1e-6);
  const Tensor published = at::matmul(head.v(), plain.value).square().mean(0).sqrt();
  EXPECT_LT(MaxDifference(published * std::sqrt(kTokens), at::ones_like(published)), 1e-6);
}

TEST(ValueSubspaces, OfValuesOfLowRankLoseNothingAtThatRank) {  // T24
  Head head = MakeHead("rank", 2);
  head.w_v = at::matmul(Normals({kModel, 3}, "rank/a"), Normals({3, kWidth}, "rank/b"));
  double norm = 0;
  for (const Tensor& w : head.w_o) norm += SquaredNorm(at::matmul(head.v(), w));
  for (const int64_t k : {3, 4, 5}) {
    const ValueSubspace kept = ValueSubspaces(head.Gram(), head.w_o, {}).Keep(k);
    EXPECT_LT(head.ErrorOf(kept) / norm, 1e-9);
    // Directions without data are not blown up.
    EXPECT_LT(kept.value.abs().max().item<double>(), 1e3);
  }
}

TEST(ValueSubspaces, OfADeadHeadKeepTheFirstChannels) {
  const Head head = MakeHead("dead", 1);
  const ValueSubspaces subspaces(at::zeros({kWidth, kWidth}, head.x.options()), head.w_o, {});
  EXPECT_TRUE(subspaces.dead());
  const ValueSubspace kept = subspaces.Keep(2);
  EXPECT_TRUE(at::equal(kept.output[0], head.w_o[0].narrow(0, 0, 2)));
  EXPECT_EQ(kept.squared_error, 0);
}

TEST(ValueBias, MovesThroughARealSoftmaxUnchanged) {  // T21
  const Tensor v = Activations(7, kWidth, "bias/v"), w_o = Normals({kWidth, kModel}, "bias/o");
  const Tensor bias = Normals({kWidth}, "bias/c");
  const Tensor mask = at::ones({7, 7}, v.options()).tril() == 0;
  const Tensor attention = at::softmax(Normals({7, 7}, "bias/a").masked_fill(mask, -1e30), 1);
  const Tensor with_bias = at::matmul(at::matmul(attention, v + bias), w_o);
  const Tensor absorbed = at::matmul(at::matmul(attention, v), w_o) + at::matmul(bias, w_o);
  EXPECT_LT(MaxDifference(with_bias, absorbed), 1e-12 * with_bias.abs().max().item<double>() * 10);
}

TEST(RefitSecondFactor, EqualsLeastSquaresOverAllHeads) {
  const Tensor z = Activations(60, 2 * kWidth, "joint heads"),
               w_o = Normals({2 * kWidth, kModel}, "w");
  const Tensor f = at::block_diag({Normals({kWidth, 3}, "f1"), Normals({kWidth, 2}, "f2")});
  const Tensor start = Normals({5, kModel}, "start");
  const RefitResult refit = RefitSecondFactor(GramOf(z), f, w_o, start, 0);
  const Tensor narrow = at::matmul(z, f), target = at::matmul(z, w_o);
  EXPECT_LT(MaxDifference(refit.weight, LeastSquares(narrow, target)), 1e-8);
  EXPECT_NEAR(refit.squared_error / SquaredNorm(target - at::matmul(narrow, refit.weight)), 1,
              1e-9);
  EXPECT_NEAR(refit.squared_norm / SquaredNorm(target), 1, 1e-12);
  EXPECT_LT(refit.squared_error, SquaredNorm(target - at::matmul(narrow, start)));
}

}  // namespace
}  // namespace condense
