#include "kernels/target_scores.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/vector_math.h"

namespace condense {
namespace {

// Rows with no target, one and several.
const std::vector<RowTarget> kTargets{{0, 3}, {2, 0}, {2, 5}, {2, 0}, {3, 6}, {6, 1}};

TEST(TargetScores, EqualLogSoftmax) {
  for (const int64_t vocabulary : {7, 64, 4100, 9000}) {
    const Tensor logits = at::randn({7, vocabulary}, kF32) * 5;
    const Tensor expected = at::log_softmax(logits.to(kF64), -1);
    for (const bool composed : {false, true}) {
      SCOPED_TRACE(fmt::format("{} ids, {}", vocabulary, composed ? "composed" : "in one pass"));
      const auto scores =
          composed ? ScoreRowTargetsComposed(logits, kTargets) : ScoreRowTargets(logits, kTargets);
      ASSERT_EQ(scores.size(), kTargets.size());
      for (size_t t = 0; t < scores.size(); ++t) {
        const auto [row, id] = kTargets[t];
        EXPECT_NEAR(scores[t].log_prob, expected[row][id].item<double>(), 3e-6);
        EXPECT_EQ(scores[t].greedy, logits[row].argmax().item<int64_t>() == id);
      }
    }
  }
}

TEST(TargetScores, TiesGoToTheLowestId) {
  const Tensor logits = at::tensor({1.0f, 4.0f, 4.0f, 2.0f}).view({1, 4});
  const std::vector<RowTarget> targets{{0, 1}, {0, 2}};
  for (const auto& scores :
       {ScoreRowTargets(logits, targets), ScoreRowTargetsComposed(logits, targets)}) {
    EXPECT_TRUE(scores[0].greedy);
    EXPECT_FALSE(scores[1].greedy);
  }
}

TEST(TargetScores, AreNotFiniteWhereLogitsAreNot) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Tensor logits = at::randn({2, 50}, kF32);
    logits[1][40].fill_(bad);
    const std::vector<RowTarget> targets{{0, 7}, {1, 7}};
    const auto scores = ScoreRowTargets(logits, targets);
    EXPECT_TRUE(std::isfinite(scores[0].log_prob));
    EXPECT_FALSE(std::isfinite(scores[1].log_prob));
  }
}

TEST(VectorMath, AgreesWithTheLibraryToTheLastPlaces) {
  for (float x = -87; x <= 0; x += 0.0137f) {
    EXPECT_NEAR(ExpOfNegative(x) / std::exp(static_cast<double>(x)), 1, 3e-7) << x;
  }
  EXPECT_LT(ExpOfNegative(-std::numeric_limits<float>::infinity()), 1e-37);
  EXPECT_TRUE(std::isnan(ExpOfNegative(std::numeric_limits<float>::quiet_NaN())));
  for (float x = 1; x <= 2; x += 0.00137f) {
    EXPECT_NEAR(ReciprocalOfOneToTwo(x) * static_cast<double>(x), 1, 3e-7) << x;
  }
  for (float x = -60; x <= 60; x += 0.0137f) {
    const double expected = x / (1 + std::exp(-static_cast<double>(x)));
    EXPECT_NEAR(Silu(x), expected, 5e-7 * std::abs(expected)) << x;
  }
}

}  // namespace
}  // namespace condense
