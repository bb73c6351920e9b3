// McNemar's exact test and Holm's correction, against enumeration and other programs.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <vector>

#include "stats/intervals.h"

namespace condense {
namespace {

// Every way in which n fair coins can fall that is at least as uneven as `lost` and `gained`.
double ByEnumeration(int lost, int gained) {
  const int n = lost + gained;
  uint64_t extreme = 0;
  for (uint64_t coins = 0; coins < uint64_t{1} << n; ++coins) {
    const int heads = std::popcount(coins);
    if (std::abs(2 * heads - n) >= std::abs(lost - gained)) ++extreme;
  }
  return static_cast<double>(extreme) / static_cast<double>(uint64_t{1} << n);
}

TEST(McNemar, EqualsTheEnumerationOfSmallCases) {
  for (int lost = 0; lost <= 8; ++lost) {
    for (int gained = 0; gained <= 8; ++gained) {
      EXPECT_NEAR(McNemarP(lost, gained), ByEnumeration(lost, gained), 1e-14)
          << lost << " " << gained;
    }
  }
}

TEST(McNemar, EqualsTheValuesOfTheProtocol) {
  EXPECT_NEAR(McNemarP(10, 25), 0.016674, 5e-7);
  EXPECT_EQ(McNemarP(3, 3), 1);
  EXPECT_EQ(McNemarP(0, 0), 1);
}

TEST(McNemar, StaysRightForThousandsOfPairs) {
  // 2 * sum C(n, k) / 2^n with 40 digits by mpmath 1.3; scipy 1.17.1's binomtest agrees.
  struct Known {
    int64_t lost, gained;
    double p;
  };
  const Known known[] = {{10, 25, 0.016673847800120711},
                         {0, 12, 0.00048828125},
                         {120, 171, 0.0033087986331269039},
                         {2400, 2600, 0.0048836497375175181},
                         {4000, 4001, 1},
                         {5000, 3000, 8.4890948507470527e-112},
                         {0, 900, 2.3661043723335494e-271}};
  for (const Known& k : known) {
    EXPECT_NEAR(McNemarP(k.lost, k.gained) / k.p, 1, 1e-12) << k.lost << " " << k.gained;
    EXPECT_EQ(McNemarP(k.lost, k.gained), McNemarP(k.gained, k.lost));
  }
  EXPECT_EQ(McNemarP(0, 100'000), 0);  // below the smallest double
}

TEST(McNemar, CountsWhereTheTwoDiffer) {
  const std::vector<double> reference = {1, 1, 1, 0, 0, 1}, other = {1, 0, 0, 1, 0, 0};
  const McNemar test = McNemarTest(reference, other);
  EXPECT_EQ(test.lost, 3);
  EXPECT_EQ(test.gained, 1);
  EXPECT_DOUBLE_EQ(test.p, ByEnumeration(3, 1));
  EXPECT_EQ(McNemarTest(reference, reference).p, 1);
}

TEST(Holm, EqualsStatsmodels) {
  // multipletests(p, method="holm") of statsmodels 0.15.0.
  const std::vector<double> p = {0.01, 0.04, 0.03, 0.005, 0.5};
  const std::vector<double> expected = {0.04, 0.09, 0.09, 0.025, 0.5};
  const std::vector<double> adjusted = HolmAdjusted(p);
  ASSERT_EQ(adjusted.size(), expected.size());
  for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(adjusted[i], expected[i], 1e-15);
  EXPECT_EQ(HolmAdjusted(std::vector{0.2, 0.2, 0.01})[1], 0.4);
  EXPECT_EQ(HolmAdjusted(std::vector{0.7, 0.8})[0], 1);
  EXPECT_TRUE(HolmAdjusted({}).empty());
}

}  // namespace
}  // namespace condense
