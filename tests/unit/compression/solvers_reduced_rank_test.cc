// Value subspaces by reduced-rank regression, against explicit data and search.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "compression/solvers/head_subspace.h"
#include "compression/solvers/reduced_rank.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

constexpr int64_t kTokens = 120, kWidth = 5, kModel = 12;

struct Problem {
  Tensor y, t, w_old;  // [n, heads kWidth], [n, kModel], [heads kWidth, kModel]
  std::vector<int64_t> queries;
  Regression r() const { return {GramOf(y), at::matmul(y.t(), t), SquaredNorm(t)}; }
  double ridge(double relative) const {
    return relative * GramOf(y).diagonal().mean().item<double>();
  }
  ReducedRank Solver(const ReducedRankOptions& options) const {
    return ReducedRank(r(), w_old, queries, options);
  }
  Tensor Blocks(const std::vector<Tensor>& value) const {
    std::vector<Tensor> blocks;
    for (size_t j = 0; j < value.size(); ++j) {
      blocks.insert(blocks.end(), static_cast<size_t>(queries[j]), value[j]);
    }
    return at::block_diag(blocks);
  }
  // ||T - Y W||^2 + ridge ||W - W_old||^2
  double Penalised(const Tensor& w, double relative) const {
    return SquaredNorm(t - at::matmul(y, w)) + ridge(relative) * SquaredNorm(w - w_old);
  }
  // The same at the best W for these subspaces, and W itself.
  Tensor BestOutput(const std::vector<Tensor>& value, double relative) const {
    const double root = std::sqrt(ridge(relative));
    const Tensor z = Blocks(value);
    return LeastSquares(at::cat({at::matmul(y, z), root * z}), at::cat({t, root * w_old}));
  }
  double Best(const std::vector<Tensor>& value, double relative) const {
    return Penalised(at::matmul(Blocks(value), BestOutput(value, relative)), relative);
  }
  std::vector<Tensor> Full() const {
    return std::vector<Tensor>(queries.size(), at::eye(kWidth, y.options()));
  }
};

// What query heads make of common inputs by way of the values of their group, and a target near
// what the old weights make of it.
Problem MakeProblem(std::vector<int64_t> queries, const std::string& purpose) {
  const Tensor x = Activations(kTokens, kModel, purpose + "/x");
  const Tensor later = at::ones({kTokens, kTokens}, at::kBool).triu(1);
  std::vector<Tensor> heads;
  for (size_t j = 0; j < queries.size(); ++j) {
    const Tensor values =
        at::matmul(x, Normals({kModel, kWidth}, fmt::format("{}/v{}", purpose, j)));
    for (int64_t i = 0; i < queries[j]; ++i) {
      const Tensor logits = 2 * Normals({kTokens, kTokens}, fmt::format("{}/{}/{}", purpose, j, i));
      heads.push_back(at::matmul(at::softmax(logits.masked_fill(later, -1e30), 1), values));
    }
  }
  const auto rows = static_cast<int64_t>(heads.size()) * kWidth;
  Problem p{at::cat(heads, 1), {}, Normals({rows, kModel}, purpose + "/w"), std::move(queries)};
  const Tensor exact = at::matmul(p.y, p.w_old);
  p.t = exact + 0.5 * exact.square().mean().sqrt() * Normals({kTokens, kModel}, purpose + "/rest");
  return p;
}

constexpr ReducedRankOptions kExact{.relative_ridge = 0};

TEST(ReducedRank, OfOneHeadIsTheTruncatedSvdOfTheWhitenedMap) {
  const Problem p = MakeProblem({1}, "one head");
  const auto [q, r] = at::linalg_qr(p.y);
  const Tensor s = at::linalg_svdvals(at::matmul(q.t(), p.t)).square();
  const double unexplained = SquaredNorm(p.t) - s.sum().item<double>();
  const ReducedRank solver = p.Solver(kExact);
  EXPECT_LT(MaxDifference(solver.spectra()[0] / s, at::ones_like(s)), 1e-8);
  for (int64_t k = 1; k < kWidth; ++k) {
    const double tail = s.narrow(0, k, kWidth - k).sum().item<double>();
    const ReducedRankFit fit = solver.Fit({k});
    EXPECT_NEAR(fit.excess / tail, 1, 1e-7);
    EXPECT_NEAR(fit.squared_error / (unexplained + tail), 1, 1e-9);
    EXPECT_NEAR(SquaredNorm(p.t - at::matmul(at::matmul(p.y, fit.value[0]), fit.output)) /
                    (unexplained + tail),
                1, 1e-9);
    for (int trial = 0; trial < 40; ++trial) {
      // Anywhere, and near the optimum.
      const Tensor random = Normals({kWidth, k}, "search" + std::to_string(trial));
      EXPECT_GE(p.Best({random}, 0), fit.squared_error * (1 - 1e-9));
      EXPECT_GE(p.Best({fit.value[0] + 0.1 * random}, 0), fit.squared_error * (1 - 1e-9));
    }
  }
}

TEST(ReducedRank, RefitsTheOutputsOfAllHeadsTogether) {
  for (const auto& queries : {std::vector<int64_t>{1, 1, 1}, {2, 2}, {3, 1}}) {
    const Problem p = MakeProblem(queries, "together");
    std::vector<int64_t> widths{2, 4};
    widths.resize(queries.size(), 3);
    for (const double ridge : {0.0, 1e-3}) {
      const ReducedRankFit fit = p.Solver({.relative_ridge = ridge}).Fit(widths);
      EXPECT_LT(MaxDifference(fit.output, p.BestOutput(fit.value, ridge)), 1e-7);
      const Tensor w = at::matmul(p.Blocks(fit.value), fit.output);
      EXPECT_NEAR(fit.squared_error / SquaredNorm(p.t - at::matmul(p.y, w)), 1, 1e-8);
      // What it says that narrowing added is what it added.
      const double full = p.Best(p.Full(), ridge);
      EXPECT_NEAR(fit.excess / (p.Penalised(w, ridge) - full), 1, 1e-6);
    }
  }
}

TEST(ReducedRank, AtFullWidthIsJointLeastSquares) {
  const Problem p = MakeProblem({1, 2}, "full");
  const ReducedRankFit fit = p.Solver(kExact).Fit({kWidth, kWidth});
  EXPECT_LT(MaxDifference(fit.output, LeastSquares(p.y, p.t)), 1e-8);
  EXPECT_EQ(fit.excess, 0);
  for (const Tensor& value : fit.value) {
    EXPECT_TRUE(at::equal(value, at::eye(kWidth, value.options())));
  }
}

TEST(ReducedRank, AtFullWidthTowardsTheOldOutputsReturnsTheOldWeights) {
  Problem p = MakeProblem({1, 1, 1}, "return");
  p.t = at::matmul(p.y, p.w_old);
  for (const double ridge : {0.0, 1e-4}) {
    const ReducedRankFit fit = p.Solver({.relative_ridge = ridge}).Fit({kWidth, kWidth, kWidth});
    EXPECT_LT(MaxDifference(fit.output, p.w_old), 1e-8);
    EXPECT_LT(fit.squared_error, 1e-10 * fit.squared_norm);
  }
}

TEST(ReducedRank, SpectraPredictTheErrorOfNarrowingOneHead) {
  for (const auto& queries : {std::vector<int64_t>{1, 1, 1}, {2, 1}}) {
    const Problem p = MakeProblem(queries, "spectra");
    const ReducedRank solver = p.Solver({.relative_ridge = 1e-4});
    const std::vector<Tensor> spectra = solver.spectra();
    const double full = p.Best(p.Full(), 1e-4);
    for (size_t j = 0; j < queries.size(); ++j) {
      for (int64_t k = 1; k < kWidth; ++k) {
        std::vector<int64_t> widths(queries.size(), kWidth);
        widths[j] = k;
        const ReducedRankFit fit = solver.Fit(widths);
        const double measured =
            p.Penalised(at::matmul(p.Blocks(fit.value), fit.output), 1e-4) - full;
        const double tail = spectra[j].narrow(0, k, kWidth - k).sum().item<double>();
        if (queries[j] == 1) {
          EXPECT_NEAR(tail / measured, 1, 1e-6);
        } else {
          EXPECT_GE(tail, measured * (1 - 1e-6));
          EXPECT_LE(tail, measured * 1.3);
        }
      }
    }
  }
}

TEST(ReducedRank, NeverLosesByAFurtherVisit) {
  for (const auto& queries : {std::vector<int64_t>{1, 1, 1, 1}, {2, 2, 2}}) {
    const Problem p = MakeProblem(queries, "sweeps");
    const std::vector<int64_t> widths(queries.size(), 2);
    const ReducedRankFit fit = p.Solver({.relative_ridge = 1e-4, .sweeps = 8}).Fit(widths);
    ASSERT_EQ(fit.excess_after_sweep.size(), 9u);
    EXPECT_LT(fit.excess_after_sweep[1], fit.excess_after_sweep[0]);
    for (size_t s = 1; s <= 8; ++s) {
      EXPECT_LE(fit.excess_after_sweep[s], fit.excess_after_sweep[s - 1]);
    }
    for (int64_t sweeps = 0; sweeps <= 3; ++sweeps) {
      const ReducedRankFit few = p.Solver({.relative_ridge = 1e-4, .sweeps = sweeps}).Fit(widths);
      EXPECT_NEAR(few.excess / fit.excess_after_sweep[static_cast<size_t>(sweeps)], 1, 1e-8);
    }
  }
}

// The equations of a head beside the others follow from the inverse of all: with a single narrow
// head it is the same visit.
TEST(ReducedRank, OneInverseServesAsWellAsAFactorOfTheOthers) {
  for (const auto& queries : {std::vector<int64_t>{1, 1, 1}, {2, 1, 2}}) {
    const Problem p = MakeProblem(queries, "one inverse");
    for (int64_t j = 0; j < 3; ++j) {
      std::vector<int64_t> widths(3, kWidth);
      widths[static_cast<size_t>(j)] = 2;
      const ReducedRankFit alone = p.Solver({.sweeps = 3}).Fit(widths);
      const ReducedRankFit grouped = p.Solver({.sweeps = 3, .together = 2}).Fit(widths);
      EXPECT_NEAR(grouped.excess / alone.excess, 1, 1e-9);
      // The maps agree, their factors need not.
      const auto map = [&](const ReducedRankFit& fit) {
        return at::matmul(p.Blocks(fit.value), fit.output);
      };
      EXPECT_LT(MaxDifference(map(grouped), map(alone)), 1e-7);
    }
  }
}

TEST(ReducedRank, InGroupsComesWithinAPercentOfOneHeadAfterTheOther) {
  for (const auto& queries : {std::vector<int64_t>(16, 1), std::vector<int64_t>(8, 2)}) {
    const Problem p = MakeProblem(queries, "groups");
    const std::vector<int64_t> widths(queries.size(), 3);
    const auto together = static_cast<int64_t>(queries.size()) / 4;
    const double alone = p.Solver({.together = 1}).Fit(widths).excess;
    const double grouped = p.Solver({.together = together}).Fit(widths).excess;
    EXPECT_LE(grouped, 1.01 * alone);
  }
}

TEST(ReducedRank, NeverLosesByAFurtherVisitOfAllHeadsAtOnce) {
  for (const auto& queries : {std::vector<int64_t>{1, 1, 1, 1}, {2, 2, 2}}) {
    const Problem p = MakeProblem(queries, "sweeps");
    const std::vector<int64_t> widths(queries.size(), 2);
    const ReducedRankFit fit = p.Solver({.sweeps = 6, .together = 4}).Fit(widths);
    ASSERT_EQ(fit.excess_after_sweep.size(), 7u);
    for (size_t s = 1; s <= 6; ++s) {
      EXPECT_LE(fit.excess_after_sweep[s], fit.excess_after_sweep[s - 1]);
    }
    for (int64_t sweeps = 0; sweeps <= 3; ++sweeps) {
      const ReducedRankFit few = p.Solver({.sweeps = sweeps, .together = 4}).Fit(widths);
      EXPECT_NEAR(few.excess / fit.excess_after_sweep[static_cast<size_t>(sweeps)], 1, 1e-7);
    }
  }
}

TEST(ReducedRank, OfManyHeadsIsNotBeatenByRandomSearch) {
  const Problem p = MakeProblem({1, 1, 1}, "search");
  const ReducedRankFit fit = p.Solver({.relative_ridge = 0, .sweeps = 30}).Fit({2, 3, 2});
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<Tensor> anywhere, near;
    for (size_t j = 0; j < 3; ++j) {
      const Tensor random = Normals(fit.value[j].sizes().vec(),
                                    "heads" + std::to_string(trial) + "/" + std::to_string(j));
      anywhere.push_back(random);
      near.push_back(fit.value[j] + 0.05 * random);
    }
    EXPECT_GE(p.Best(anywhere, 0), fit.squared_error);
    EXPECT_GE(p.Best(near, 0), fit.squared_error * (1 - 1e-5));
  }
}

// --- Grouped queries -----------------------------------------------------------------------------

TEST(HeadSubspace, ImprovesWithEachRoundOfAlternatingLeastSquares) {
  for (const char* purpose : {"rounds/a", "rounds/b"}) {
    const Problem p = MakeProblem({3}, purpose);
    const Tensor b = at::matmul(p.y.t(), p.t);
    const HeadSubspace head(GramOf(p.y), at::matmul(b, b.t()), 3);
    for (const int64_t k : {1, 2, 4}) {
      const Tensor start = head.directions().narrow(1, 0, k);
      double last = head.Loss(start);
      EXPECT_NEAR(last, p.Best({start}, 0) - p.Best(p.Full(), 0), 1e-7 * SquaredNorm(p.t));
      EXPECT_NEAR(head.Spectrum().narrow(0, k, kWidth - k).sum().item<double>() / last, 1, 1e-6);
      for (int64_t rounds = 0; rounds <= 4; ++rounds) {
        const double loss = head.Loss(head.Improved(start, rounds));
        EXPECT_LE(loss, last * (1 + 1e-9));
        last = loss;
      }
    }
  }
}

TEST(HeadSubspace, OfAGroupComesToTheBestOfManySearches) {
  const Problem p = MakeProblem({3}, "group search");
  const Tensor b = at::matmul(p.y.t(), p.t);
  const HeadSubspace head(GramOf(p.y), at::matmul(b, b.t()), 3);
  for (const int64_t k : {1, 3}) {
    const double loss = head.Loss(head.Improved(head.directions().narrow(1, 0, k), 60));
    double best = std::numeric_limits<double>::infinity();
    for (int trial = 0; trial < 10; ++trial) {
      const Tensor start = Normals({kWidth, k}, "start" + std::to_string(trial));
      best = std::min(best, head.Loss(head.Improved(start, 60)));
    }
    EXPECT_LE(loss, best * 1.01);
  }
}

// --- Scales, constants, empty heads --------------------------------------------------------------

TEST(ReducedRank, BalanceKeepsTheScaleOfTheChannelsAndTheOutputs) {
  const Problem p = MakeProblem({2, 1}, "balance");
  const ReducedRankFit balanced = p.Solver({}).Fit({3, 2});
  const ReducedRankFit plain = p.Solver({.balance = false}).Fit({3, 2});
  EXPECT_LT(MaxDifference(at::matmul(p.Blocks(balanced.value), balanced.output),
                          at::matmul(p.Blocks(plain.value), plain.output)),
            1e-7);
  const Tensor narrow = at::matmul(p.y.narrow(1, 2 * kWidth, kWidth), balanced.value[1]);
  const double rms = std::sqrt(SquaredNorm(p.y.narrow(1, 2 * kWidth, kWidth)) / (kTokens * kWidth));
  const Tensor channels = narrow.square().mean(0).sqrt() / rms;
  EXPECT_LT(MaxDifference(channels, at::ones_like(channels)), 1e-9);
}

TEST(ReducedRank, OfCentredDataWithItsInterceptIsLeastSquaresWithAConstant) {
  Problem p = MakeProblem({1, 2}, "constant");
  p.y = p.y + 3.0, p.t = p.t - 4.0;
  const Tensor mean_y = p.y.mean(0), mean_t = p.t.mean(0);
  const ReducedRankFit fit =
      ReducedRank(Centred(p.r(), mean_y, mean_t, kTokens), p.w_old, p.queries, kExact).Fit({2, 3});
  const Tensor narrow = fit.Narrow(p.y);
  EXPECT_LT(MaxDifference(narrow, at::matmul(p.y, p.Blocks(fit.value))), 1e-9);
  const Tensor bias = Intercept(fit.Narrow(mean_y), mean_t, fit.output);
  const Tensor expected =
      LeastSquares(at::cat({narrow, at::ones({kTokens, 1}, p.y.options())}, 1), p.t);
  EXPECT_LT(MaxDifference(fit.output, expected.narrow(0, 0, fit.output.size(0))), 1e-8);
  EXPECT_LT(MaxDifference(bias, expected[fit.output.size(0)]), 1e-7);
}

TEST(ReducedRank, OfAHeadThatIsNeverUsedStaysWithItsOldWeights) {
  Problem p = MakeProblem({1, 1}, "dead");
  p.y.narrow(1, 0, kWidth).zero_();
  const ReducedRankFit fit = p.Solver({}).Fit({2, 3});
  EXPECT_TRUE(at::isfinite(fit.output).all().item<bool>());
  const Tensor product = at::matmul(fit.value[0], fit.output.narrow(0, 0, 2));
  const Tensor old = p.w_old.narrow(0, 0, kWidth);
  // The best part of rank 2 of what was there.
  const Tensor s = at::linalg_svdvals(old).square();
  EXPECT_NEAR(SquaredNorm(product - old) / s.narrow(0, 2, kWidth - 2).sum().item<double>(), 1,
              1e-6);
}

}  // namespace
}  // namespace condense
