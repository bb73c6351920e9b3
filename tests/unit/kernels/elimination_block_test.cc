#include "kernels/elimination_block.h"

#include <gtest/gtest.h>

namespace condense {
namespace {

struct Matrices {
  Tensor h, p;  // full
  Tensor pair() const {
    const int64_t n = h.size(0);
    Tensor pair = at::zeros({n, n + 1}, kF64);
    pair.narrow(1, 0, n).add_(h.tril());
    pair.narrow(1, 1, n).add_(p.triu());
    return pair;
  }
};

Matrices MakeMatrices(int64_t n) {
  at::manual_seed(11);
  const Tensor x = at::randn({2 * n, n}, kF64), w = at::randn({n, 5}, kF64);
  return {at::linalg_inv(at::mm(x.t(), x)), at::mm(w, w.t())};
}

double MaxDifference(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// One channel at a time, as the formulas say.
TEST(EliminateBlock, EqualsRemovingOneAtATime) {
  const InferenceScope inference;
  const int64_t n = 150, steps = 40;
  const Matrices start = MakeMatrices(n);
  const Tensor channels = at::arange(n, kI64);
  Matrices m{start.h.clone(), start.p.clone()};
  std::vector<int64_t> order;
  std::vector<double> costs;
  Tensor gone = at::zeros({n}, kF64);
  for (int64_t t = 0; t < steps; ++t) {
    const Tensor cost = m.p.diagonal() / m.h.diagonal() + gone;
    const auto j = cost.argmin().item<int64_t>();
    order.push_back(j);
    costs.push_back(cost[j].item<double>());
    gone[j] = 1e300;
    const Tensor u = m.h.select(1, j) / m.h[j][j];
    Tensor e = at::eye(n, kF64);
    e.select(1, j) -= u;
    m.h = m.h - at::outer(u, m.h[j]);
    m.p = at::mm(e, at::mm(m.p, e.t()));
    m.h.diagonal()[j] = 1;  // so that the quotient stays finite
  }
  for (const EliminationBlock& block : {EliminateBlock(start.pair(), channels, steps),
                                        EliminateBlockComposed(start.pair(), channels, steps)}) {
    EXPECT_TRUE(at::equal(block.positions, at::tensor(order, kI64)));
    EXPECT_LT(MaxDifference(block.costs / at::tensor(costs, kF64), at::ones({steps}, kF64)), 1e-10);
    Tensor h = start.h - at::mm(block.u * block.g, block.u.t());
    const Tensor uv = at::mm(block.u, block.v.t());
    const Tensor p = start.p - uv - uv.t() + at::mm(block.u * block.a, block.u.t());
    const Tensor stays = (gone == 0).nonzero().flatten();
    const auto left = [&](const Tensor& x) {
      return x.index_select(0, stays).index_select(1, stays);
    };
    EXPECT_LT(MaxDifference(left(h), left(m.h)), 1e-12);
    EXPECT_LT(MaxDifference(left(p), left(m.p)), 1e-11);
  }
}

TEST(EliminateBlock, OfEqualCostsTheLowerChannelGoes) {
  const InferenceScope inference;
  const Matrices same{at::eye(6, kF64), at::eye(6, kF64)};
  const Tensor channels = at::tensor({9, 4, 7, 2, 8, 3}, kI64);
  const Tensor expected = at::tensor({3, 5, 1, 2, 4, 0}, kI64);
  EXPECT_TRUE(at::equal(EliminateBlock(same.pair(), channels, 6).positions, expected));
  EXPECT_TRUE(at::equal(EliminateBlockComposed(same.pair(), channels, 6).positions, expected));
}

TEST(EliminateBlock, ReadsAPartOfABuffer) {
  const InferenceScope inference;
  const Matrices m = MakeMatrices(20);
  Tensor buffer = at::full({30, 31}, 1e9, kF64);
  buffer.narrow(0, 0, 20).narrow(1, 0, 21).copy_(m.pair());
  const Tensor channels = at::arange(20, kI64);
  EXPECT_TRUE(at::equal(EliminateBlock(buffer.narrow(0, 0, 20).narrow(1, 0, 21), channels, 7).u,
                        EliminateBlock(m.pair(), channels, 7).u));
}

}  // namespace
}  // namespace condense
