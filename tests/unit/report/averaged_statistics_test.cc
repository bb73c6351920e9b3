// Averages over draws, from a database of fabricated scores, against sums by hand.
#include "report/statistics/statistics.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "report/measurements.h"
#include "stats/means.h"
#include "unit/report/fabricated_results.h"

namespace condense {
namespace {

using testing::HasSubstr;
using testing::Not;

RunRecord Draw(const std::string& model, const std::string& method, int64_t seed) {
  RunRecord run = FabricatedResults::Run(model, method, 0.2);
  run.seed = seed;
  run.fingerprint += "/" + std::to_string(seed);
  return run;
}

// Two models; two methods and two draws of each.
class AveragedStatisticsTest : public testing::Test {
 protected:
  AveragedStatisticsTest() {
    std::vector<RunRecord> runs;
    for (const char* model : {"a", "b"}) {
      runs.push_back(FabricatedResults::Run(model, "dense"));
      for (const char* method : {"slicegpt", "modegpt"}) {
        for (const int64_t seed : {0, 1}) runs.push_back(Draw(model, method, seed));
      }
    }
    experiment_ = results_.Register(runs);
  }

  RunRecord Dense(const std::string& model = "a") { return FabricatedResults::Run(model, "dense"); }

  void Answer(const RunRecord& run, const std::string& answers,
              const std::string& task = "bundle_physical") {
    results_.Add(run, FabricatedScores(task, answers));
  }
  void Agree(const RunRecord& run, const std::vector<double>& divergences) {
    StageResult agreement;
    agreement.metrics = {{.protocol = "agree-bundled-256",
                          .metric = "kl_mean",
                          .value = MeanOf(divergences),
                          .count = static_cast<int64_t>(divergences.size()),
                          .basis = "ids"}};
    agreement.samples = {{"agree-bundled-256", "", "window_kl", {divergences}}};
    results_.Finish(run, "agree", agreement);
  }

  const CellStatistics& Compute(const std::string& model, const std::string& method,
                                StatisticsOptions options = {},
                                const std::vector<std::string>& over = {"seed"}) {
    options.draws = 2000;
    options.average = over;
    StoredScores scores(results_.store());
    statistics_ = ComputeStatistics(MeasurementsOf(results_.store(), experiment_), scores, options);
    for (const CellStatistics& cell : statistics_) {
      if (cell.keys.at("model") == model && cell.keys.at("method") == method) {
        return cell;
      }
    }
    throw std::runtime_error("no average of " + model + " " + method);
  }

  FabricatedResults results_;
  int64_t experiment_ = 0;
  std::vector<CellStatistics> statistics_;
};

TEST_F(AveragedStatisticsTest, AveragesWhatEachDocumentSaysOverTheDraws) {
  Answer(Dense(), "11110000");
  Answer(Draw("a", "modegpt", 0), "11000000");
  Answer(Draw("a", "modegpt", 1), "10100010");
  const CellStatistics& cell = Compute("a", "modegpt", {.metrics = {"acc"}});
  EXPECT_EQ(cell.keys.at("seed"), "mean of 2");
  EXPECT_EQ(cell.keys.at("ratio"), "0.2");
  ASSERT_EQ(cell.rows.size(), 1u);
  const StatisticsRow& row = cell.rows[0];
  const std::vector<double> outcomes = {1, .5, .5, 0, 0, 0, .5, 0};
  EXPECT_DOUBLE_EQ(row.value, 2.5 / 8);
  EXPECT_DOUBLE_EQ(*row.standard_error, StandardErrorOfMean(outcomes));
  EXPECT_EQ(row.count, 8);
  EXPECT_TRUE(row.interval->Contains(row.value));
  ASSERT_EQ(row.comparisons.size(), 1u);
  const PairedStatistics& paired = row.comparisons[0];
  EXPECT_EQ(paired.against, "dense");
  EXPECT_EQ(paired.id, Dense().fingerprint);
  EXPECT_DOUBLE_EQ(paired.difference, -1.5 / 8);
  const std::vector<double> differences = {0, -.5, -.5, -1, 0, 0, .5, 0};
  EXPECT_DOUBLE_EQ(paired.standard_error, StandardErrorOfMean(differences));
  EXPECT_LE(paired.interval.low, paired.difference);
  EXPECT_GE(paired.interval.high, paired.difference);
  EXPECT_FALSE(paired.test);  // an average is no yes or no
  EXPECT_DOUBLE_EQ(*paired.retention, 62.5);
  EXPECT_FALSE(paired.retention_above_chance);  // the dense model guesses
}

TEST_F(AveragedStatisticsTest, PairsEachDrawWithTheBaselineOfTheSameDraw) {
  Answer(Draw("a", "slicegpt", 0), "1000");
  Answer(Draw("a", "slicegpt", 1), "0110");
  Answer(Draw("a", "modegpt", 0), "1010");
  Answer(Draw("a", "modegpt", 1), "0111");
  const CellStatistics& cell =
      Compute("a", "modegpt", {.metrics = {"acc"}, .baseline = "slicegpt"});
  const PairedStatistics& paired = cell.rows.at(0).comparisons.at(0);
  EXPECT_EQ(paired.against, "slicegpt");
  EXPECT_EQ(paired.id, "a/slicegpt/0.20/0 a/slicegpt/0.20/1");
  EXPECT_DOUBLE_EQ(paired.difference, 1.0 / 4);
  EXPECT_DOUBLE_EQ(paired.standard_error, StandardErrorOfMean(std::vector<double>{0, 0, .5, .5}));
}

TEST_F(AveragedStatisticsTest, MeansOverTasksAreMeansOfTheAverages) {
  int right = 4;
  double squares = 0;
  for (const MeanTerm& term : FindMean("mean5-bundled").terms) {
    Answer(Draw("a", "modegpt", 0), Answers(right, 16), term.task);
    Answer(Draw("a", "modegpt", 1), Answers(right + 2, 16), term.task);
    std::vector<double> outcomes;
    for (size_t i = 0; i < 16; ++i) {
      outcomes.push_back(((Answers(right, 16)[i] - '0') + (Answers(right + 2, 16)[i] - '0')) / 2.0);
    }
    squares += std::pow(StandardErrorOfMean(outcomes), 2);
    ++right;
  }
  const CellStatistics& cell = Compute("a", "modegpt", {.metrics = {"mean5-bundled"}});
  ASSERT_EQ(cell.rows.size(), 1u);
  EXPECT_NEAR(cell.rows[0].value, (5 + 6 + 7 + 8 + 9) / 80.0, 1e-12);
  EXPECT_NEAR(*cell.rows[0].standard_error, std::sqrt(squares) / 5, 1e-12);
}

TEST_F(AveragedStatisticsTest, PerplexitiesAreAveragedAsLosses) {
  results_.AddLosses(Dense(), "bundled-256", {3, 3.5, 4});
  results_.AddLosses(Draw("a", "modegpt", 0), "bundled-256", {3.2, 3.6, 4.2});
  results_.AddLosses(Draw("a", "modegpt", 1), "bundled-256", {3.0, 3.8, 4.2});
  const CellStatistics& cell = Compute("a", "modegpt");
  ASSERT_EQ(cell.rows.size(), 1u);
  EXPECT_NEAR(*cell.rows[0].nll, 11 / 3.0, 1e-12);
  EXPECT_NEAR(cell.rows[0].value, std::exp(11 / 3.0), 1e-9);
  EXPECT_EQ(cell.rows[0].interval_method, "block bootstrap");
  const PairedStatistics& paired = cell.rows[0].comparisons.at(0);
  EXPECT_NEAR(paired.difference, .5 / 3, 1e-12);
  EXPECT_NEAR(*paired.ratio, std::exp(.5 / 3), 1e-12);
}

TEST_F(AveragedStatisticsTest, ComparesTheAgreementOfTwoMethods) {
  for (const int64_t seed : {0, 1}) {
    Agree(Draw("a", "slicegpt", seed), {0.3, 0.5, 0.4});
    Agree(Draw("a", "modegpt", seed), {0.1 + 0.1 * static_cast<double>(seed), 0.2, 0.3});
  }
  const CellStatistics& cell = Compute("a", "modegpt", {.baseline = "slicegpt"});
  ASSERT_EQ(cell.rows.size(), 1u);
  EXPECT_NEAR(cell.rows[0].value, .65 / 3, 1e-12);
  ASSERT_EQ(cell.rows[0].comparisons.size(), 1u);
  EXPECT_NEAR(cell.rows[0].comparisons[0].difference, (-.15 - .3 - .1) / 3, 1e-12);
  EXPECT_LT(cell.rows[0].comparisons[0].interval.high, 0);
  EXPECT_FALSE(cell.rows[0].comparisons[0].ratio);
  EXPECT_THAT(StatisticsToText(statistics_),
              HasSubstr("Paired differences of agreement with the dense model"));
}

TEST_F(AveragedStatisticsTest, AveragesOverModelsThatScoredTheSameDocuments) {
  for (const char* model : {"a", "b"}) {
    Answer(Dense(model), "1100");
    Answer(Draw(model, "modegpt", 0), model == std::string("a") ? "1000" : "1110");
    Answer(Draw(model, "modegpt", 1), "1000");
  }
  results_.AddLosses(Dense("a"), "bundled-256", {3, 3.5, 4});
  results_.AddLosses(Dense("b"), "bundled-256", {3, 3.5});  // another tokenizer's windows
  testing::internal::CaptureStderr();
  const CellStatistics& cell =
      Compute("mean of 2", "modegpt", {.metrics = {"acc", "perplexity"}}, {"seed", "model"});
  const std::string warnings = testing::internal::GetCapturedStderr();
  EXPECT_EQ(statistics_.size(), 3u);
  EXPECT_EQ(cell.keys.at("seed"), "mean of 2");
  ASSERT_EQ(cell.rows.size(), 1u);
  EXPECT_DOUBLE_EQ(cell.rows[0].value, (1 + 3 + 1 + 1) / 16.0);
  EXPECT_DOUBLE_EQ(cell.rows[0].comparisons.at(0).difference, -2 / 16.0);
  EXPECT_EQ(cell.rows[0].comparisons[0].id, "a/dense b/dense");
  EXPECT_THAT(warnings, HasSubstr("no average of perplexity under bundled-256: b dense was scored "
                                  "on other data than a dense"));
}

TEST_F(AveragedStatisticsTest, LeavesOutWhatADrawLacks) {
  for (const int64_t seed : {0, 1}) {
    // The first draw lacks it, or the last.
    Answer(Draw(seed == 0 ? "a" : "b", "modegpt", seed), "1100");
    Answer(Draw("a", "slicegpt", seed), "1100");
  }
  for (const char* model : {"a", "b"}) {
    testing::internal::CaptureStderr();
    EXPECT_TRUE(Compute(model, "modegpt").rows.empty());
    const std::string warnings = testing::internal::GetCapturedStderr();
    EXPECT_THAT(warnings,
                HasSubstr("no average of acc_norm of bundle_physical under lmeval-bos: a modegpt "
                          "0.2 bundled-128x256 seed 1 has no scores of it"));
    EXPECT_THAT(warnings, Not(HasSubstr("mean5-bundled")));  // no draw has all of its tasks
  }
  EXPECT_EQ(Compute("a", "slicegpt").rows.size(), 1u);
}

TEST_F(AveragedStatisticsTest, RefusesOtherKeys) {
  Answer(Dense(), "1100");
  const auto refusal = [&](const std::string& key) -> std::string {
    try {
      Compute("a", "dense", {}, {key});
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal("seeds"), HasSubstr("did you mean 'seed'?"));
  EXPECT_THAT(refusal("method"), HasSubstr("cannot average over 'method'"));
}

}  // namespace
}  // namespace condense
