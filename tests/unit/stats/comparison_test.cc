#include "stats/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "stats/means.h"
#include "unit/stats/fixture.h"

namespace condense {
namespace {

using enum TaskMetric;
using testing::HasSubstr;

// `both` documents that both get right, then `lost` and `gained` ones, the rest wrong.
std::pair<TaskScores, TaskScores> Pair(const std::string& task, size_t both, size_t lost,
                                       size_t gained, size_t count) {
  std::vector<bool> reference(count, false), other(count, false);
  for (size_t i = 0; i < both + lost; ++i) reference[i] = true;
  for (size_t i = 0; i < both; ++i) other[i] = true;
  for (size_t i = both + lost; i < both + lost + gained; ++i) other[i] = true;
  return {SomeScores(task, reference), SomeScores(task, other)};
}

MeanEstimate EstimateDifference(const ScoreGroups& reference, const ScoreGroups& other,
                                Resampling resampling = Resampling::kDocuments) {
  return EstimateMean(Differences(reference, other), resampling, {.purpose = "comparison test"});
}

TEST(Comparison, CountsWhatIsLostAndGained) {
  const auto [dense, compressed] = Pair("piqa", 300, 25, 10, 500);
  const std::vector<double> reference = Outcomes(dense, kAcc), other = Outcomes(compressed, kAcc);
  const McNemar test = McNemarTest(reference, other);
  EXPECT_EQ(test.lost, 25);
  EXPECT_EQ(test.gained, 10);
  EXPECT_NEAR(test.p, 0.016674, 5e-7);
  EXPECT_EQ(MeanOfMeans({reference}), 0.65);
  EXPECT_EQ(MeanOfMeans({other}), 0.62);
  const MeanEstimate result = EstimateDifference({reference}, {other});
  EXPECT_DOUBLE_EQ(result.mean, -0.03);
  // Differences of -1, 0, 1: variance (35 - 15^2 / 500) / 499.
  const double error = std::sqrt((35 - 225.0 / 500) / 499 / 500);
  EXPECT_NEAR(result.standard_error, error, 1e-15);
  EXPECT_NEAR(result.interval.low, -0.03 - 1.96 * error, 0.003);
  EXPECT_NEAR(result.interval.high, -0.03 + 1.96 * error, 0.003);
  // Paired: narrower than the two standard errors together would have it.
  EXPECT_LT(result.standard_error,
            0.5 * std::hypot(StandardErrorOfMeans({reference}), StandardErrorOfMeans({other})));
}

TEST(Comparison, OfAModelWithItselfIsNothing) {
  const std::vector<double> outcomes = Outcomes(Pair("piqa", 30, 5, 0, 50).first, kAccNorm);
  EXPECT_EQ(McNemarTest(outcomes, outcomes).p, 1);
  const MeanEstimate result = EstimateDifference({outcomes}, {outcomes});
  EXPECT_EQ(result.mean, 0);
  EXPECT_EQ(result.interval.low, 0);
  EXPECT_EQ(result.interval.high, 0);
}

TEST(Comparison, CorrectsOverTheTasksOfATable) {
  std::vector<double> p;
  const std::pair<size_t, size_t> discordant[] = {{25, 10}, {3, 3}, {12, 0}};
  for (const auto& [lost, gained] : discordant) {
    const auto [first, second] = Pair("task", 20, lost, gained, 100);
    p.push_back(McNemarTest(Outcomes(first, kAcc), Outcomes(second, kAcc)).p);
  }
  const std::vector<double> adjusted = HolmAdjusted(p);
  EXPECT_DOUBLE_EQ(adjusted[0], 2 * p[0]);
  EXPECT_EQ(adjusted[1], 1);
  EXPECT_DOUBLE_EQ(adjusted[2], 3 * 0.00048828125);
}

TEST(Comparison, OfMeansResamplesPairs) {
  ScoreGroups dense, compressed;
  for (const MeanTerm& term : FindMean("mean5").terms) {
    const auto [first, second] = Pair(term.task, 200, 40, 20, 400);
    dense.push_back(Outcomes(first, term.metric));
    compressed.push_back(Outcomes(second, term.metric));
  }
  EXPECT_DOUBLE_EQ(MeanOfMeans(dense), 0.6);
  EXPECT_DOUBLE_EQ(MeanOfMeans(compressed), 0.55);
  const MeanEstimate result = EstimateDifference(dense, compressed);
  EXPECT_NEAR(result.mean, -0.05, 1e-15);
  const double one = std::sqrt((60 - 400.0 / 400) / 399 / 400);
  EXPECT_NEAR(result.standard_error, one / std::sqrt(5.0), 1e-15);
  EXPECT_NEAR(result.interval.low, -0.05 - 1.96 * one / std::sqrt(5.0), 0.001);
  EXPECT_NEAR(result.interval.high, -0.05 + 1.96 * one / std::sqrt(5.0), 0.001);
}

std::string Refusal(const TaskScores& reference, const TaskScores& other) {
  try {
    RequireComparable(reference, other, {"dense", "slicegpt 20%"});
  } catch (const Error& error) {
    return std::string(error.Class()) + ": " + error.what();
  }
  return "no error";
}

TEST(Comparison, RefusesScoresOfOtherThingsAndSaysWhich) {
  const auto [dense, good] = Pair("piqa", 30, 5, 5, 60);
  EXPECT_EQ(Refusal(dense, good), "no error");

  TaskScores other = good;
  other.requests_sha256 = "something else";
  EXPECT_THAT(Refusal(dense, other),
              HasSubstr("data: piqa: dense and slicegpt 20% cannot be compared"));
  EXPECT_THAT(Refusal(dense, other), HasSubstr("something else"));
  other = good;
  other.protocol = "lmeval-nobos";
  EXPECT_THAT(Refusal(dense, other),
              HasSubstr("config: piqa: dense was scored under protocol lmeval-bos, "
                        "slicegpt 20% under lmeval-nobos"));
  other = good;
  other.task = "arc_easy";
  EXPECT_THAT(Refusal(dense, other), HasSubstr("config: dense was scored on task piqa"));
  other = good;
  other.documents.pop_back();
  EXPECT_THAT(Refusal(dense, other), HasSubstr("data: piqa: "));
  EXPECT_THAT(Refusal(dense, other), HasSubstr("60 documents against 59"));
  other = good;
  other.documents[7].sha256 = SomeDigest(99);
  EXPECT_THAT(Refusal(dense, other), HasSubstr("the requests of document 7 and document 7 differ"));
  other = good;
  other.documents[7].index = 61;
  EXPECT_THAT(Refusal(dense, other),
              HasSubstr("the places in the file of document 7 and document 61"));
  other = good;
  other.documents[7].gold = 0;
  EXPECT_THAT(Refusal(dense, other), HasSubstr("the right choices of document 7"));
}

TEST(LossComparison, IsTightBecauseItIsPaired) {
  Random random(1, "losses");
  std::vector<double> dense, compressed;
  for (int i = 0; i < 140; ++i) {
    dense.push_back(1.7 + 0.3 * random.Normal());
    compressed.push_back(dense.back() + 0.2 + 0.01 * random.Normal());
  }
  const MeanEstimate result = EstimateDifference({dense}, {compressed}, Resampling::kWindows);
  EXPECT_NEAR(result.mean, 0.2, 0.003);
  EXPECT_NEAR(result.standard_error, 0.01 / std::sqrt(140.0), 1e-4);
  EXPECT_NEAR(result.interval.high - result.interval.low, 2 * 1.96 * result.standard_error, 0.001);
  EXPECT_LT(std::exp(result.interval.high) - std::exp(result.interval.low), 0.006);
}

TEST(LossComparison, OfAModelWithItselfIsNothing) {
  const MeanEstimate result = EstimateDifference({{1, 2, 3}}, {{1, 2, 3}}, Resampling::kWindows);
  EXPECT_EQ(result.mean, 0);
  EXPECT_EQ(result.interval.low, 0);
  EXPECT_EQ(result.interval.high, 0);
}

TEST(LossComparison, RefusesOtherTexts) {
  const WindowLosses dense{"wikitext2-2048", "ids", {1, 2}};
  EXPECT_NO_THROW(RequireComparable(dense, {"wikitext2-2048", "ids", {3, 4}}));
  EXPECT_THROW(RequireComparable(dense, {"wikitext2-4096", "ids", {1, 2}}), ConfigError);
  EXPECT_THROW(RequireComparable(dense, {"wikitext2-2048", "other", {1, 2}}), DataError);
  EXPECT_THROW(RequireComparable(dense, {"wikitext2-2048", "ids", {1}}), DataError);
}

TEST(LossComparison, OfLikelihoodsIsTheRatioOfThePerplexities) {
  TaskScores dense{.task = "lambada_openai", .protocol = "lmeval-bos"};
  for (int i = 0; i < 50; ++i) dense.documents.push_back(SomeDocument(i, 0, {-1.0 - i % 3}));
  TaskScores worse = dense;
  for (int i = 0; i < 50; ++i) worse.documents[i].choices[0].log_likelihood -= 0.1 + 0.01 * (i % 7);
  // A loss is a negative log-likelihood, so the two sides change places.
  const MeanEstimate result =
      EstimateDifference({Outcomes(worse, kPerplexity)}, {Outcomes(dense, kPerplexity)});
  EXPECT_NEAR(std::exp(result.mean),
              ValueOf(worse, kPerplexity).value / ValueOf(dense, kPerplexity).value, 1e-12);
  EXPECT_GT(std::exp(result.interval.low), 1.1);
}

}  // namespace
}  // namespace condense
