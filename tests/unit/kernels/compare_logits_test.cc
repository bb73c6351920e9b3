#include "kernels/compare_logits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace condense {
namespace {

// Vocabularies with and without a rest after whole vectors and blocks.
class CompareLogitsOf : public ::testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override {
    at::manual_seed(3);
    a_ = at::randn({rows_, GetParam()}, kF32) * 4;
    b_ = a_ + at::randn({rows_, GetParam()}, kF32);
    targets_ = at::randint(GetParam(), {rows_}, kI64);
  }
  const int64_t rows_ = 9;
  Tensor a_, b_, targets_;
  InferenceScope inference_;
};

TEST_P(CompareLogitsOf, EqualsTheDefinitionInDouble) {
  const Tensor p = a_.to(kF64).log_softmax(-1), q = b_.to(kF64).log_softmax(-1);
  const Tensor divergence = (p.exp() * (p - q)).sum(-1);
  for (const auto& compared :
       {CompareLogits(a_, b_, targets_), CompareLogitsComposed(a_, b_, targets_)}) {
    for (int64_t row = 0; row < rows_; ++row) {
      const LogitComparison& one = compared[static_cast<size_t>(row)];
      const int64_t target = targets_[row].item<int64_t>();
      EXPECT_NEAR(one.divergence, divergence[row].item<double>(), 2e-6);
      EXPECT_NEAR(one.log_p, p[row][target].item<double>(), 2e-6);
      EXPECT_NEAR(one.log_q, q[row][target].item<double>(), 2e-6);
      EXPECT_EQ(one.same_top, p[row].argmax().item<int64_t>() == q[row].argmax().item<int64_t>());
      const Tensor top_p = std::get<1>(p[row].topk(5)), top_q = std::get<1>(q[row].topk(5));
      EXPECT_EQ(one.common_top5, at::isin(top_p, top_q).sum().item<int64_t>());
    }
  }
}

TEST_P(CompareLogitsOf, GivesTheSumOfTheDivergencesAlone) {
  double sum = 0;
  for (const LogitComparison& one : CompareLogits(a_, b_, targets_)) sum += one.divergence;
  EXPECT_NEAR(SumOfDivergences(a_, b_), sum, 1e-9 * sum);
  EXPECT_EQ(SumOfDivergences(a_, a_.clone()), 0);
  Tensor bad = b_.clone();
  bad[2][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(std::isfinite(SumOfDivergences(a_, bad)));
}

TEST_P(CompareLogitsOf, AgreesExactlyWithItself) {
  for (const LogitComparison& one : CompareLogits(a_, a_.clone(), targets_)) {
    EXPECT_EQ(one.divergence, 0);
    EXPECT_EQ(one.log_p, one.log_q);
    EXPECT_TRUE(one.same_top);
    EXPECT_EQ(one.common_top5, 5);
  }
}

TEST_P(CompareLogitsOf, IsNotMovedByAConstant) {
  for (const LogitComparison& one : CompareLogits(a_, a_ + 256, targets_)) {
    EXPECT_NEAR(one.divergence, 0, 1e-6);
  }
}

TEST_P(CompareLogitsOf, LeavesValuesThatAreNotFiniteVisible) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const bool first : {false, true}) {
      const Tensor a = a_.clone(), b = b_.clone();
      (first ? a : b)[4][GetParam() - 2] = bad;
      const auto compared = CompareLogits(a, b, targets_);
      EXPECT_FALSE(std::isfinite(compared[4].divergence)) << bad << first;
      EXPECT_TRUE(std::isfinite(compared[3].divergence));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, CompareLogitsOf, ::testing::Values(7, 61, 128, 1000, 4096));

TEST(CompareLogits, TiesGoToTheLowestId) {
  Tensor a = at::zeros({2, 300}, kF32), b = at::zeros({2, 300}, kF32);
  a[0][7] = a[0][290] = 3;
  b[0][7] = b[0][8] = 5;
  b[1][0] = -1;
  const auto compared = CompareLogits(a, b, at::zeros({2}, kI64));
  EXPECT_TRUE(compared[0].same_top);
  // {7, 290, 0, 1, 2} and {7, 8, 0, 1, 2}.
  EXPECT_EQ(compared[0].common_top5, 4);
  EXPECT_FALSE(compared[1].same_top);     // 0 and 1
  EXPECT_EQ(compared[1].common_top5, 4);  // {0 ... 4} and {1 ... 5}
}

TEST(CompareLogits, ReadsRowsOfWiderLogits) {
  at::manual_seed(4);
  const Tensor a = at::randn({3, 96}, kF32), b = at::randn({3, 112}, kF32);
  const Tensor targets = at::randint(80, {3}, kI64);
  const auto cut = CompareLogits(a.narrow(1, 0, 80), b.narrow(1, 0, 80), targets);
  const auto copied =
      CompareLogits(a.narrow(1, 0, 80).contiguous(), b.narrow(1, 0, 80).contiguous(), targets);
  for (size_t row = 0; row < 3; ++row) EXPECT_EQ(cut[row].divergence, copied[row].divergence);
}

}  // namespace
}  // namespace condense
