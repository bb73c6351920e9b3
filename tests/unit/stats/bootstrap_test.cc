// The bootstrap against the enumeration of all resamples, normal theory and its own promises.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "stats/intervals.h"

namespace condense {
namespace {

using Groups = std::vector<std::vector<double>>;

std::vector<double> ZerosAndOnes(size_t ones, size_t count) {
  std::vector<double> outcomes(count, 0.0);
  std::fill_n(outcomes.begin(), ones, 1.0);
  return outcomes;
}

std::vector<double> SomeSeries(size_t count) {
  Random random(1, "test series");
  std::vector<double> series(count);
  for (double& value : series) value = 3 + random.Normal();
  return series;
}

// The means of all n^n resamples, ascending.
std::vector<double> AllResampleMeans(const std::vector<double>& outcomes) {
  const size_t n = outcomes.size();
  size_t total = 1;
  for (size_t i = 0; i < n; ++i) total *= n;
  std::vector<double> means;
  for (size_t code = 0; code < total; ++code) {
    double sum = 0;
    for (size_t i = 0, rest = code; i < n; ++i, rest /= n) sum += outcomes[rest % n];
    means.push_back(sum / static_cast<double>(n));
  }
  std::sort(means.begin(), means.end());
  return means;
}

// Quantiles of many draws lie where the enumeration has them, give or take four standard deviations
// of the share of draws below a value. Few values are counted and many are indexed: both ways are
// held to it.
void ExpectTheDistributionOfAllResamples(const std::vector<double>& outcomes) {
  const std::vector<double> exact = AllResampleMeans(outcomes);
  const auto at = [&](double q) { return exact[static_cast<size_t>(q * exact.size())]; };
  constexpr int64_t kDraws = 200'000;
  const double noise = 4 * std::sqrt(0.25 / kDraws);
  for (double q = 0.02; q < 0.49; q += 0.04) {
    const Interval interval = BootstrapMeanOfMeans(
        Groups{outcomes}, {.draws = kDraws, .seed = 7, .purpose = "test", .coverage = 1 - 2 * q});
    EXPECT_GE(interval.low, at(q - noise) - 1e-12) << q;
    EXPECT_LE(interval.low, at(q + noise) + 1e-12) << q;
    EXPECT_GE(interval.high, at(1 - q - noise) - 1e-12) << q;
    EXPECT_LE(interval.high, at(1 - q + noise) + 1e-12) << q;
  }
}

TEST(Bootstrap, CountsResamplesOfZerosAndOnesExactly) {
  ExpectTheDistributionOfAllResamples({0, 1});
  ExpectTheDistributionOfAllResamples({1, 0, 1, 1, 0});
  ExpectTheDistributionOfAllResamples({0, 0, 0, 0, 0, 1});
}

TEST(Bootstrap, CountsResamplesOfPairedDifferencesExactly) {
  ExpectTheDistributionOfAllResamples({-1, 0, 1});
  ExpectTheDistributionOfAllResamples({0, -1, 0, 1, 1, 0});
  ExpectTheDistributionOfAllResamples({0.5, -2, 3, 3, 0});
}

TEST(Bootstrap, DrawsIndicesOfManyValues) {
  ExpectTheDistributionOfAllResamples({0.1, 2.5, -1.25, 4, 7});
  ExpectTheDistributionOfAllResamples({1, 2, 4, 8, 16, 32});
}

TEST(Bootstrap, AgreesWithTheBinomialDistribution) {
  // scipy 1.17.1: binom.ppf(q, 1838, 1141/1838) / 1838 for q = 0.025, 0.975; one outcome is 0.0005.
  const Interval interval =
      BootstrapMeanOfMeans(Groups{ZerosAndOnes(1141, 1838)}, {.purpose = "bootstrap piqa"});
  EXPECT_NEAR(interval.low, 0.5984766050054406, 0.0015);
  EXPECT_NEAR(interval.high, 0.6430903155603918, 0.0015);
}

TEST(Bootstrap, OfAMeanOfTasksAgreesWithNormalTheory) {
  const Groups tasks = {ZerosAndOnes(1141, 1838), ZerosAndOnes(700, 1267), ZerosAndOnes(1500, 2376),
                        ZerosAndOnes(400, 1172), SomeSeries(500)};
  double mean = 0, squares = 0;
  for (const auto& task : tasks) {
    mean += MeanOf(task) / 5;
    squares += std::pow(StandardErrorOfMean(task) / 5, 2);
  }
  const double half = 1.959964 * std::sqrt(squares);
  const Interval interval = BootstrapMeanOfMeans(tasks, {.purpose = "bootstrap mean5"});
  EXPECT_NEAR(interval.low, mean - half, 0.05 * half);
  EXPECT_NEAR(interval.high, mean + half, 0.05 * half);
}

TEST(Bootstrap, CoversTheTruthAboutAsOftenAsItSays) {
  Random random(3, "coverage");
  int covered = 0;
  constexpr int kTrials = 500;
  for (uint64_t trial = 0; trial < kTrials; ++trial) {
    std::vector<double> outcomes(200);
    for (double& outcome : outcomes) outcome = random.Uniform() < 0.3 ? 1 : 0;
    const BootstrapOptions options{.draws = 1000, .seed = trial, .purpose = "trial"};
    covered += BootstrapMeanOfMeans(Groups{outcomes}, options).Contains(0.3);
  }
  // 95% less a little for 200 documents; the noise of 500 trials is 1%.
  EXPECT_GT(covered, 0.92 * kTrials);
  EXPECT_LT(covered, 0.98 * kTrials);
}

TEST(Bootstrap, DoesNotDependOnTheOrderOfDocumentsButOnSeedAndPurpose) {
  std::vector<double> outcomes = ZerosAndOnes(60, 170);
  const Interval first = BootstrapMeanOfMeans(Groups{outcomes}, {.seed = 1, .purpose = "a"});
  std::rotate(outcomes.begin(), outcomes.begin() + 31, outcomes.end());
  const Interval again = BootstrapMeanOfMeans(Groups{outcomes}, {.seed = 1, .purpose = "a"});
  EXPECT_EQ(first.low, again.low);
  EXPECT_EQ(first.high, again.high);
  const std::vector<double> series = SomeSeries(100);
  const auto low = [&](uint64_t seed, std::string_view purpose) {
    return BootstrapMeanOfMeans(Groups{series}, {.seed = seed, .purpose = purpose}).low;
  };
  EXPECT_EQ(low(1, "a"), low(1, "a"));
  EXPECT_NE(low(1, "a"), low(2, "a"));
  EXPECT_NE(low(1, "a"), low(1, "b"));
}

TEST(Bootstrap, GivesTheSameNumbersEverywhere) {
  // Computed by an independent program in Python, from the words of the generator on.
  const BootstrapOptions options{.draws = 200, .seed = 42, .purpose = "bootstrap piqa"};
  const Interval counted = BootstrapMeanOfMeans(Groups{ZerosAndOnes(62, 100)}, options);
  EXPECT_DOUBLE_EQ(counted.low, 0.52975);
  EXPECT_DOUBLE_EQ(counted.high, 0.72);
  const Interval indexed = BootstrapMeanOfMeans(Groups{{0.1, 2.5, -1.25, 4, 7}}, options);
  EXPECT_NEAR(indexed.low, -0.1835, 1e-14);
  EXPECT_NEAR(indexed.high, 4.9, 1e-14);
}

TEST(Bootstrap, OfEqualOutcomesHasNoWidth) {
  const Interval interval =
      BootstrapMeanOfMeans(Groups{std::vector(9, 0.25), {0.75}}, {.purpose = "constant"});
  EXPECT_EQ(interval.low, 0.5);
  EXPECT_EQ(interval.high, 0.5);
}

TEST(BlockBootstrap, OfIndependentValuesAgreesWithNormalTheory) {
  const std::vector<double> series = SomeSeries(1000);
  const double half = 1.959964 * StandardErrorOfMean(series);
  for (const int64_t block : {1, 5}) {
    const Interval interval = BlockBootstrapMean(series, block, {.purpose = "block"});
    EXPECT_NEAR(interval.low, MeanOf(series) - half, 0.12 * half);
    EXPECT_NEAR(interval.high, MeanOf(series) + half, 0.12 * half);
  }
}

TEST(BlockBootstrap, IsWiderWhereNeighboursAreAlike) {
  // x_t = 0.8 x_{t-1} + noise: the variance of the mean is (1 + 0.8) / (1 - 0.8) = 9 times that of
  // independent values, so the interval has to be three times as wide; blocks of 40 see most of it.
  Random random(5, "autoregression");
  std::vector<double> series(4000);
  double state = 0;
  for (double& value : series) value = state = 0.8 * state + random.Normal();
  const auto width = [&](int64_t block) {
    const Interval interval = BlockBootstrapMean(series, block, {.purpose = "block"});
    return interval.high - interval.low;
  };
  EXPECT_GT(width(40) / width(1), 2.4);
  EXPECT_LT(width(40) / width(1), 3.4);
  EXPECT_GT(width(0), width(1));
}

TEST(BlockBootstrap, RunsRoundTheEndOfTheSeries) {
  // Blocks of two of {0, 0, 0, 9}: one pair in two holds the 9, that over the end included.
  const std::vector<double> series = {0, 0, 0, 9};
  const auto low = [&](double q) {
    return BlockBootstrapMean(series, 2,
                              {.draws = 100'000, .purpose = "ends", .coverage = 1 - 2 * q})
        .low;
  };
  EXPECT_EQ(low(0.24), 0);     // no 9 in a quarter of the draws
  EXPECT_EQ(low(0.26), 2.25);  // one in half of them
}

TEST(BlockBootstrap, ChoosesTheCubeRootOfTheLength) {
  for (const auto& [count, block] : std::vector<std::pair<size_t, int64_t>>{
           {1, 1}, {3, 1}, {4, 2}, {8, 2}, {140, 5}, {1000, 10}}) {
    const std::vector<double> series = SomeSeries(count);
    const Interval usual = BlockBootstrapMean(series, 0, {.purpose = "block"});
    const Interval named = BlockBootstrapMean(series, block, {.purpose = "block"});
    EXPECT_EQ(usual.low, named.low) << count;
    EXPECT_EQ(usual.high, named.high) << count;
  }
}

}  // namespace
}  // namespace condense
