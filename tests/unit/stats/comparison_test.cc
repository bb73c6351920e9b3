#include "stats/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"
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

TEST(Comparison, CountsWhatIsLostAndGained) {
  const auto [dense, compressed] = Pair("piqa", 300, 25, 10, 500);
  const TaskComparison result = CompareTask(dense, compressed, kAcc);
  EXPECT_EQ(result.test.lost, 25);
  EXPECT_EQ(result.test.gained, 10);
  EXPECT_NEAR(result.test.p, 0.016674, 5e-7);
  EXPECT_EQ(result.reference.value, 0.65);
  EXPECT_EQ(result.other.value, 0.62);
  EXPECT_DOUBLE_EQ(result.difference, -0.03);
  // Differences of -1, 0, 1: variance (35 - 15^2 / 500) / 499.
  const double error = std::sqrt((35 - 225.0 / 500) / 499 / 500);
  EXPECT_NEAR(result.standard_error, error, 1e-15);
  EXPECT_NEAR(result.interval.low, -0.03 - 1.96 * error, 0.003);
  EXPECT_NEAR(result.interval.high, -0.03 + 1.96 * error, 0.003);
  // Paired: narrower than the two standard errors together would have it.
  EXPECT_LT(result.standard_error,
            0.5 * std::hypot(result.reference.standard_error, result.other.standard_error));
}

TEST(Comparison, OfAModelWithItselfIsNothing) {
  const TaskScores scores = Pair("piqa", 30, 5, 0, 50).first;
  const TaskComparison result = CompareTask(scores, scores, kAccNorm);
  EXPECT_EQ(result.test.p, 1);
  EXPECT_EQ(result.difference, 0);
  EXPECT_EQ(result.interval.low, 0);
  EXPECT_EQ(result.interval.high, 0);
}

TEST(Comparison, CorrectsOverTheTasksOfATable) {
  std::vector<TaskScores> dense, compressed;
  std::vector<MeanTerm> terms;
  const std::pair<size_t, size_t> discordant[] = {{25, 10}, {3, 3}, {12, 0}};
  for (const auto& [lost, gained] : discordant) {
    const std::string task = "task" + std::to_string(dense.size());
    auto [first, second] = Pair(task, 20, lost, gained, 100);
    dense.push_back(first);
    compressed.push_back(second);
    terms.push_back({task, kAcc});
  }
  const auto results = CompareTasks(dense, compressed, terms);
  ASSERT_EQ(results.size(), 3u);
  EXPECT_DOUBLE_EQ(results[0].holm_p, 2 * results[0].test.p);
  EXPECT_EQ(results[1].holm_p, 1);
  EXPECT_DOUBLE_EQ(results[2].holm_p, 3 * 0.00048828125);
}

TEST(Comparison, OfMeansResamplesPairs) {
  std::vector<TaskScores> dense, compressed;
  for (const MeanTerm& term : FindMean("mean5").terms) {
    auto [first, second] = Pair(term.task, 200, 40, 20, 400);
    dense.push_back(first);
    compressed.push_back(second);
  }
  const auto result = CompareMeans(FindMean("mean5"), dense, compressed);
  ASSERT_TRUE(result.has_value());
  EXPECT_DOUBLE_EQ(result->reference.value, 0.6);
  EXPECT_DOUBLE_EQ(result->other.value, 0.55);
  EXPECT_NEAR(result->difference, -0.05, 1e-15);
  const double one = std::sqrt((60 - 400.0 / 400) / 399 / 400);
  EXPECT_NEAR(result->standard_error, one / std::sqrt(5.0), 1e-15);
  EXPECT_NEAR(result->interval.low, -0.05 - 1.96 * one / std::sqrt(5.0), 0.001);
  EXPECT_NEAR(result->interval.high, -0.05 + 1.96 * one / std::sqrt(5.0), 0.001);
  EXPECT_NEAR(result->retention.value(), 100 * 0.55 / 0.6, 1e-12);
  EXPECT_NEAR(result->chance_corrected_retention.value(), 50, 1e-9);  // two choices everywhere

  compressed.pop_back();
  EXPECT_THROW(CompareMeans(FindMean("mean5"), dense, compressed), ConfigError);
  dense.pop_back();
  EXPECT_FALSE(CompareMeans(FindMean("mean5"), dense, compressed).has_value());
}

TEST(Comparison, RefusesScoresOfOtherThingsAndSaysWhich) {
  const auto [dense, good] = Pair("piqa", 30, 5, 5, 60);
  const auto message = [&, &dense = dense](const TaskScores& other) -> std::string {
    try {
      CompareTask(dense, other, kAcc, {.reference_name = "dense", .other_name = "slicegpt 20%"});
    } catch (const Error& error) {
      return std::string(error.Class()) + ": " + error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message(good), "no error");

  TaskScores other = good;
  other.requests_sha256 = "something else";
  EXPECT_THAT(message(other), HasSubstr("data: piqa: dense and slicegpt 20% cannot be compared"));
  EXPECT_THAT(message(other), HasSubstr("something else"));
  other = good;
  other.protocol = "lmeval-nobos";
  EXPECT_THAT(message(other), HasSubstr("config: piqa: dense was scored under protocol lmeval-bos, "
                                        "slicegpt 20% under lmeval-nobos"));
  other = good;
  other.task = "arc_easy";
  EXPECT_THAT(message(other), HasSubstr("config: dense was scored on task piqa"));
  other = good;
  other.documents.pop_back();
  EXPECT_THAT(message(other), HasSubstr("data: piqa: "));
  EXPECT_THAT(message(other), HasSubstr("60 documents against 59"));
  other = good;
  other.documents[7].sha256 = SomeDigest(99);
  EXPECT_THAT(message(other), HasSubstr("the requests of document 7 and document 7 differ"));
  other = good;
  other.documents[7].index = 61;
  EXPECT_THAT(message(other), HasSubstr("the places in the file of document 7 and document 61"));
  other = good;
  other.documents[7].gold = 0;
  EXPECT_THAT(message(other), HasSubstr("the right choices of document 7"));
}

TEST(Comparison, NamesATaskThatOneSideLacks) {
  const auto [dense, other] = Pair("piqa", 3, 1, 1, 8);
  const std::vector<TaskScores> scores = {dense};
  const std::vector<MeanTerm> terms = {{"piqa", kAcc}, {"boolq", kAcc}};
  EXPECT_THROW(CompareTasks(scores, scores, terms), ConfigError);
}

TEST(LossComparison, IsTightBecauseItIsPaired) {
  Random random(1, "losses");
  WindowLosses dense{"wikitext2-2048", "ids", {}}, compressed = dense;
  for (int i = 0; i < 140; ++i) {
    dense.losses.push_back(1.7 + 0.3 * random.Normal());
    compressed.losses.push_back(dense.losses.back() + 0.2 + 0.01 * random.Normal());
  }
  const LossComparison result = CompareLosses(dense, compressed);
  EXPECT_EQ(result.count, 140);
  EXPECT_NEAR(result.mean_difference, 0.2, 0.003);
  EXPECT_NEAR(result.standard_error, 0.01 / std::sqrt(140.0), 1e-4);
  EXPECT_DOUBLE_EQ(result.ratio, std::exp(result.mean_difference));
  EXPECT_NEAR(result.interval.high - result.interval.low, 2 * 1.96 * result.standard_error, 0.001);
  EXPECT_DOUBLE_EQ(result.ratio_interval.low, std::exp(result.interval.low));
  EXPECT_LT(result.ratio_interval.high - result.ratio_interval.low, 0.006);
}

TEST(LossComparison, OfAModelWithItselfIsOne) {
  const WindowLosses dense{"wikitext2-2048", "ids", {1, 2, 3}};
  const LossComparison result = CompareLosses(dense, dense);
  EXPECT_EQ(result.ratio, 1);
  EXPECT_EQ(result.ratio_interval.low, 1);
  EXPECT_EQ(result.ratio_interval.high, 1);
}

TEST(LossComparison, RefusesOtherTexts) {
  const WindowLosses dense{"wikitext2-2048", "ids", {1, 2}};
  EXPECT_THROW(CompareLosses(dense, {"wikitext2-4096", "ids", {1, 2}}), ConfigError);
  EXPECT_THROW(CompareLosses(dense, {"wikitext2-2048", "other", {1, 2}}), DataError);
  EXPECT_THROW(CompareLosses(dense, {"wikitext2-2048", "ids", {1}}), DataError);
}

TEST(LossComparison, OfLikelihoodsIsTheRatioOfThePerplexities) {
  TaskScores dense{.task = "lambada_openai", .protocol = "lmeval-bos"};
  for (int i = 0; i < 50; ++i) dense.documents.push_back(SomeDocument(i, 0, {-1.0 - i % 3}));
  TaskScores worse = dense;
  for (int i = 0; i < 50; ++i) worse.documents[i].choices[0].log_likelihood -= 0.1 + 0.01 * (i % 7);
  const LossComparison result = CompareLikelihoods(dense, worse);
  EXPECT_NEAR(result.ratio, ValueOf(worse, kPerplexity).value / ValueOf(dense, kPerplexity).value,
              1e-12);
  EXPECT_GT(result.ratio_interval.low, 1.1);
}

}  // namespace
}  // namespace condense
