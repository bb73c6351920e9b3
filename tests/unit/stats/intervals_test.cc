#include "stats/intervals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace condense {
namespace {

TEST(StandardError, IsThatOfTheHarness) {
  // protocols.md 3.8: sqrt(p (1 - p) / (n - 1)) for outcomes of 0 and 1.
  std::vector<double> outcomes(1838, 0.0);
  std::fill_n(outcomes.begin(), 1141, 1.0);
  const double p = 1141.0 / 1838;
  EXPECT_DOUBLE_EQ(MeanOf(outcomes), p);
  EXPECT_NEAR(StandardErrorOfMean(outcomes), std::sqrt(p * (1 - p) / 1837), 1e-15);
  EXPECT_NEAR(StandardErrorOfMean(outcomes), 0.01132, 5e-6);
}

TEST(StandardError, IsZeroWithoutTwoValues) {
  EXPECT_EQ(StandardErrorOfMean({}), 0);
  EXPECT_EQ(StandardErrorOfMean(std::vector{7.5}), 0);
  EXPECT_EQ(MeanOf({}), 0);
}

TEST(Quantile, InterpolatesBetweenOrderStatistics) {
  // numpy.quantile of numpy 2.4.6.
  const std::vector<double> sorted = {1, 2, 4, 8, 16};
  const std::pair<double, double> known[] = {{0, 1},      {0.1, 1.4},    {0.25, 2}, {0.5, 4},
                                             {0.9, 12.8}, {0.975, 15.2}, {1, 16}};
  for (const auto& [q, value] : known) EXPECT_NEAR(Quantile(sorted, q), value, 1e-14) << q;
  EXPECT_EQ(Quantile(std::vector{3.0}, 0.975), 3.0);
}

TEST(WilsonInterval, EqualsStatsmodels) {
  // proportion_confint(successes, count, method="wilson") of statsmodels 0.15.0, which has more
  // digits of z.
  struct Known {
    double successes;
    int64_t count;
    double low, high;
  };
  const Known known[] = {{1141, 1838, 0.5983718538997623, 0.6426912397088954},
                         {0, 10, 0, 0.27753279986288926},
                         {10, 10, 0.7224672001371106, 1},
                         {3, 7, 0.15821985525146964, 0.7495416354723428},
                         {2033, 3270, 0.6049569894952914, 0.6381824569355493}};
  for (const Known& k : known) {
    const Interval interval = WilsonInterval(k.successes, k.count);
    EXPECT_NEAR(interval.low, k.low, 1e-8);
    EXPECT_NEAR(interval.high, k.high, 1e-8);
  }
}

TEST(StudentT, EqualsThePrintedQuantiles) {
  const std::pair<int, double> known[] = {
      {1, 12.706204736432095}, {2, 4.302652729911275},   {3, 3.182446305284263},
      {4, 2.7764451051977987}, {5, 2.570581835636314},   {10, 2.2281388519649385},
      {29, 2.045229642132703}, {30, 2.0422724563012373}, {100, 1.983971518523551}};
  for (const auto& [degrees, quantile] : known) {
    EXPECT_NEAR(StudentQuantile975(degrees), quantile, 1e-9) << degrees;
  }
}

TEST(StudentT, GivesTheIntervalOverSeeds) {
  // Mean 2, standard deviation 1, t = 4.3026527 with two degrees of freedom.
  const Estimate estimate = MeanWithInterval({1, 2, 3});
  EXPECT_DOUBLE_EQ(estimate.mean, 2);
  EXPECT_NEAR(estimate.half_interval, 4.302652729911275 / std::sqrt(3.0), 1e-9);
  EXPECT_EQ(MeanWithInterval({7.5}).half_interval, 0);
}

}  // namespace
}  // namespace condense
