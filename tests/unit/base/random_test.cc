// Values of protocols.md 10, made by Python 3, NumPy and the Random123 reference.
#include "base/random.h"

#include <gmock/gmock.h>

#include <set>

namespace condense {
namespace {

using testing::ElementsAre;

TEST(PythonRandom, FirstOutputsEqualPython) {
  PythonRandom zero(0), answer(42);
  for (uint32_t expected : {3626764237u, 1654615998u, 3255389356u, 3823568514u}) {
    EXPECT_EQ(zero.NextU32(), expected);
  }
  for (uint32_t expected : {2746317213u, 478163327u, 107420369u, 3184935163u}) {
    EXPECT_EQ(answer.NextU32(), expected);
  }
}

TEST(PythonRandom, RandIntEqualsPython) {
  PythonRandom zero(0), three(3);
  for (int64_t expected : {201979, 220500, 21225, 135746, 268055, 254766}) {
    EXPECT_EQ(zero.RandInt(0, 339420), expected);
  }
  for (int64_t expected : {124761, 310714, 285332, 68379, 193963, 316628}) {
    EXPECT_EQ(three.RandInt(0, 339420), expected);
  }
}

TEST(NumpyRandom, RawOutputsEqualNumpy) {
  NumpyRandom random(42);
  for (uint64_t expected :
       {14276969152011380360ull, 8095878257575067585ull, 15838336090824644132ull}) {
    EXPECT_EQ(random.NextU64(), expected);
  }
}

TEST(NumpyRandom, PermutationsEqualNumpy) {
  const auto large = NumpyRandom(42).Permutation(52002);
  EXPECT_THAT(std::vector(large.begin(), large.begin() + 8),
              ElementsAre(31688, 10899, 13999, 10877, 6746, 36939, 15106, 9382));
  EXPECT_THAT(std::vector(large.end() - 3, large.end()), ElementsAre(5668, 22113, 9864));
  const auto small = NumpyRandom(42).Permutation(10401);
  EXPECT_THAT(std::vector(small.begin(), small.begin() + 8),
              ElementsAre(6372, 10124, 921, 3111, 591, 3708, 2765, 9907));
}

TEST(Random, PurposesAreIndependentAndRepeatable) {
  Random a(7, "rotation"), b(7, "rotation"), c(7, "shuffle"), d(8, "rotation");
  const uint64_t first = a.NextU64();
  EXPECT_EQ(first, b.NextU64());
  EXPECT_NE(first, c.NextU64());
  EXPECT_NE(first, d.NextU64());
}

TEST(Random, NormalHasUnitVariance) {
  Random random(1, "normal");
  double sum = 0, squares = 0;
  constexpr int kCount = 100000;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.Normal();
    sum += x, squares += x * x;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.02);
  EXPECT_NEAR(squares / kCount, 1, 0.02);
}

TEST(Random, PermutationHoldsEachNumberOnce) {
  const auto order = Random(3, "order").Permutation(1000);
  EXPECT_EQ(std::set(order.begin(), order.end()).size(), 1000u);
  EXPECT_THAT(Random(3, "order").Permutation(0), ElementsAre());
}

}  // namespace
}  // namespace condense
