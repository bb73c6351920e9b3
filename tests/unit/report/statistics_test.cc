// Statistics from a database of fabricated scores.
#include "report/statistics/statistics.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "report/csv.h"
#include "report/measurements.h"
#include "stats/means.h"
#include "support/shared_data.h"
#include "unit/report/fabricated_results.h"

namespace condense {
namespace {

using testing::HasSubstr;
constexpr int64_t kDraws = 2000;

class StatisticsTest : public testing::Test {
 protected:
  StatisticsTest() {
    experiment_ = results_.Register({dense_, sliced_, modegpt_});
    int right = 60;
    for (const MeanTerm& term : FindMean("mean5-bundled").terms) {
      results_.Add(dense_, FabricatedScores(term.task, Answers(right, 80)));
      results_.Add(sliced_, FabricatedScores(term.task, Answers(right - 30, 80)));
      results_.Add(modegpt_, FabricatedScores(term.task, Answers(right - 2, 80)));
      right += 2;
    }
    results_.AddLosses(dense_, "bundled-256", Losses(0));
    results_.AddLosses(sliced_, "bundled-256", Losses(0.2));
    results_.AddLosses(modegpt_, "bundled-256", Losses(0.1));
  }

  static std::vector<double> Losses(double shift) {
    std::vector<double> losses;
    for (int i = 0; i < 27; ++i)
      losses.push_back(3 + shift + 0.1 * (i % 5) + 0.01 * shift * (i % 3));
    return losses;
  }

  std::vector<CellStatistics> Compute(StatisticsOptions options = {}) {
    options.draws = kDraws;
    StoredScores scores(results_.store());
    return ComputeStatistics(MeasurementsOf(results_.store(), experiment_), scores, options);
  }

  static const StatisticsRow& RowOf(const CellStatistics& cell, const std::string& task,
                                    const std::string& metric) {
    for (const StatisticsRow& row : cell.rows) {
      if (row.task == task && row.metric == metric) return row;
    }
    throw std::runtime_error("no row " + task + " " + metric);
  }

  std::string Refusal(StatisticsOptions options) {
    try {
      Compute(std::move(options));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  }

  FabricatedResults results_;
  RunRecord dense_ = FabricatedResults::Run("a", "dense"),
            sliced_ = FabricatedResults::Run("a", "slicegpt", 0.2),
            modegpt_ = FabricatedResults::Run("a", "modegpt", 0.2);
  int64_t experiment_ = 0;
};

TEST_F(StatisticsTest, ReportsEachTaskUnderItsUsualMetric) {
  const auto statistics = Compute();
  ASSERT_EQ(statistics.size(), 3u);
  const StatisticsRow& row = RowOf(statistics[0], "bundle_physical", "acc_norm");
  EXPECT_DOUBLE_EQ(row.value, 0.75);
  EXPECT_DOUBLE_EQ(*row.standard_error, std::sqrt(0.75 * 0.25 / 79));
  EXPECT_EQ(row.count, 80);
  EXPECT_DOUBLE_EQ(row.interval->low, WilsonInterval(60, 80).low);
  EXPECT_EQ(row.interval_method, "wilson");
  EXPECT_TRUE(row.comparisons.empty());  // the dense model itself
  EXPECT_EQ(RowOf(statistics[1], "bundle_physical", "acc_norm").flags,
            (std::vector<std::string>{"below_chance"}));
}

TEST_F(StatisticsTest, ComparesWithDenseInPairs) {
  const auto statistics = Compute();
  const StatisticsRow& row = RowOf(statistics[1], "bundle_physical", "acc_norm");
  ASSERT_EQ(row.comparisons.size(), 1u);
  const PairedStatistics& paired = row.comparisons[0];
  EXPECT_EQ(paired.against, "dense");
  EXPECT_EQ(paired.id, dense_.fingerprint);
  EXPECT_DOUBLE_EQ(paired.difference, -0.375);
  EXPECT_EQ(paired.test->lost - paired.test->gained, 30);
  EXPECT_DOUBLE_EQ(paired.test->p, McNemarP(paired.test->lost, paired.test->gained));
  EXPECT_GE(*paired.holm_p, paired.test->p);  // five tasks are tested together
  EXPECT_LE(*paired.holm_p, 5 * paired.test->p);
  EXPECT_TRUE(paired.interval.Contains(-0.375));
  EXPECT_DOUBLE_EQ(*paired.retention, 50);
  EXPECT_DOUBLE_EQ(*paired.retention_above_chance, -50);
}

TEST_F(StatisticsTest, ComparesWithTheBaselineOfTheSameSetting) {
  const auto statistics = Compute({.baseline = "slicegpt"});
  EXPECT_TRUE(RowOf(statistics[0], "bundle_facts", "acc_norm").comparisons.empty());
  EXPECT_EQ(RowOf(statistics[1], "bundle_facts", "acc_norm").comparisons.size(), 1u);
  const auto& comparisons = RowOf(statistics[2], "bundle_facts", "acc_norm").comparisons;
  ASSERT_EQ(comparisons.size(), 2u);
  EXPECT_EQ(comparisons[1].against, "slicegpt");
  EXPECT_DOUBLE_EQ(comparisons[1].difference, 0.35);
}

TEST_F(StatisticsTest, BootstrapsMeans) {
  const StatisticsRow& row = RowOf(Compute()[2], "mean5-bundled", "mean");
  EXPECT_NEAR(row.value, (58 + 60 + 62 + 64 + 66) / 400.0, 1e-12);
  EXPECT_TRUE(row.interval->Contains(row.value));
  EXPECT_NEAR(row.interval->high - row.interval->low, 4 * *row.standard_error,
              0.3 * *row.standard_error);
  EXPECT_FALSE(row.comparisons.at(0).test);
  EXPECT_NEAR(row.comparisons[0].difference, -0.025, 1e-12);
}

TEST_F(StatisticsTest, ComparesLossesOfWindowsInPairs) {
  const auto statistics = Compute();
  const StatisticsRow& row = RowOf(statistics[1], "", "perplexity");
  EXPECT_EQ(row.count, 27);
  EXPECT_NEAR(row.value, std::exp(*row.nll), 1e-9);
  EXPECT_EQ(row.interval_method, "block bootstrap");
  EXPECT_TRUE(row.interval->Contains(row.value));
  const PairedStatistics& paired = row.comparisons.at(0);
  EXPECT_NEAR(paired.difference, 0.202, 1e-9);
  EXPECT_NEAR(*paired.ratio, std::exp(0.202), 1e-9);
  // Far tighter than the interval of either.
  EXPECT_LT(paired.ratio_interval->high - paired.ratio_interval->low, 0.01);
}

TEST_F(StatisticsTest, ChoosesProtocolsTasksMetricsAndCells) {
  const auto statistics =
      Compute({.tasks = {"bundle_facts"}, .metrics = {"acc"}, .cells = {modegpt_.fingerprint}});
  ASSERT_EQ(statistics.size(), 1u);
  ASSERT_EQ(statistics[0].rows.size(), 1u);
  EXPECT_EQ(statistics[0].rows[0].metric, "acc");
  // The dense model is still what it is compared with; a test alone needs no correction.
  EXPECT_EQ(statistics[0].rows[0].comparisons.at(0).holm_p,
            statistics[0].rows[0].comparisons.at(0).test->p);
  EXPECT_EQ(Compute({.protocols = {"bundled-256"}})[0].rows.size(), 1u);
  EXPECT_EQ(Compute({.metrics = {"mean5-bundled"}})[0].rows.size(), 1u);
}

TEST_F(StatisticsTest, RefusesNamesThatNothingHas) {
  EXPECT_THAT(Refusal({.tasks = {"bundle_fact"}}), HasSubstr("did you mean 'bundle_facts'?"));
  EXPECT_THAT(Refusal({.protocols = {"lmeval-bot"}}), HasSubstr("did you mean 'lmeval-bos'?"));
  EXPECT_THAT(Refusal({.metrics = {"acc_nor"}}), HasSubstr("did you mean 'acc_norm'?"));
  EXPECT_THAT(Refusal({.baseline = "slicegp"}), HasSubstr("did you mean 'slicegpt'?"));
}

TEST_F(StatisticsTest, ComparesAnyTwoCells) {
  const auto statistics =
      Compute({.cells = {sliced_.fingerprint}, .reference = modegpt_.fingerprint});
  const auto& comparisons = RowOf(statistics[0], "bundle_facts", "acc_norm").comparisons;
  ASSERT_EQ(comparisons.size(), 1u);
  EXPECT_EQ(comparisons[0].id, modegpt_.fingerprint);
}

TEST_F(StatisticsTest, RefusesOtherDataBehindOneName) {
  const auto refusal = [&]() -> std::string {
    try {
      Compute({.protocols = {"other-bos"}});
    } catch (const DataError& error) {
      return error.what();
    }
    return "accepted";
  };
  TaskScores scores = FabricatedScores("piqa", "1100", "other-bos");
  results_.Add(dense_, scores);
  results_.Add(sliced_, scores);
  EXPECT_EQ(refusal(), "accepted");
  scores.documents[3].gold = 0;
  results_.Add(modegpt_, scores);
  EXPECT_THAT(refusal(), HasSubstr("piqa: dense and a/modegpt/0.20 cannot be compared: the right "
                                   "choices of document 3 and document 3 differ"));
}

TEST_F(StatisticsTest, RefusesOtherWindowsOfOneModel) {
  results_.AddLosses(dense_, "bundled-stories-256", {3, 4});
  results_.AddLosses(modegpt_, "bundled-stories-256", {3, 4, 5});
  try {
    Compute({.protocols = {"bundled-stories-256"}});
    FAIL() << "accepted";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("they scored 2 windows with ids of SHA-256 ids and 3"));
  }
}

TEST_F(StatisticsTest, MeansAreThoseOfTheStoredValues) {
  const auto statistics = Compute();
  std::vector<StoredTaskValue> values;
  for (const MeanTerm& term : FindMean("mean5-bundled").terms) {
    const TaskScores scores =
        FabricatedScores(term.task, Answers(58 + 2 * static_cast<int>(values.size()), 80));
    const TaskValue value = ValueOf(scores, term.metric);
    values.push_back(
        {"lmeval-bos", term.task, StoredName(term.metric), value.value, value.standard_error});
  }
  const StatisticsRow& row = RowOf(statistics[2], "mean5-bundled", "mean");
  EXPECT_EQ(row.value, CompleteMeans(values).at(0).value);
  EXPECT_EQ(row.standard_error, CompleteMeans(values).at(0).standard_error);
}

TEST_F(StatisticsTest, ShowsAgreementAndValuesWithoutScores) {
  StageResult agreement;
  agreement.metrics = {{.protocol = "agree-bundled-256",
                        .metric = "kl_mean",
                        .value = 0.05,
                        .standard_error = 0.01,
                        .count = 4,
                        .basis = "ids"},
                       {.protocol = "agree-bundled-256", .metric = "kl_p99", .value = 0.5}};
  agreement.samples = {
      {"agree-bundled-256", "", "window_kl", {std::vector<double>{0.04, 0.06, 0.05, 0.05}}}};
  results_.Finish(modegpt_, "agree", agreement);
  results_.AddValue(modegpt_, "lmeval-bos", "piqa", "acc_norm", 0.625);
  const auto statistics = Compute();
  EXPECT_TRUE(RowOf(statistics[2], "", "kl_mean").interval->Contains(0.05));
  EXPECT_FALSE(RowOf(statistics[2], "", "kl_p99").interval);
  EXPECT_EQ(RowOf(statistics[2], "piqa", "acc_norm").value, 0.625);
  EXPECT_FALSE(RowOf(statistics[2], "piqa", "acc_norm").interval);
}

TEST_F(StatisticsTest, EqualTheirSpec) {
  const std::string text = StatisticsToText(Compute({.baseline = "slicegpt"}));
  const auto path = SourceFolder() / "tests/specs/report/statistics.txt";
  if (std::getenv("CONDENSE_UPDATE_SPECS") != nullptr) WriteFileAtomically(path, text);
  EXPECT_EQ(text, ReadFile(path)) << path;
}

TEST_F(StatisticsTest, CsvHasALineForEachComparison) {
  const CsvTable csv(StatisticsToCsv(Compute({.baseline = "slicegpt"})), "csv");
  // Seven rows a cell: dense alone, slicegpt with one comparison each, modegpt with two.
  ASSERT_EQ(csv.size(), 7u + 7 + 14);
  EXPECT_EQ(csv.Field(0, "task"), "bundle_physical");
  EXPECT_EQ(csv.Field(0, "value"), "0.75");
  EXPECT_EQ(csv.Field(0, "against"), "");
  EXPECT_EQ(csv.Field(csv.size() - 1, "against"), "slicegpt");
  EXPECT_NE(csv.Field(csv.size() - 1, "ratio_of_perplexities"), "");
}

TEST_F(StatisticsTest, JsonHasAnEntryForEachCell) {
  const auto json = nlohmann::json::parse(StatisticsToJson(Compute()));
  ASSERT_EQ(json.size(), 3u);
  EXPECT_EQ(json[1]["keys"]["method"], "slicegpt");
  const auto& row = json[1]["statistics"][0];
  EXPECT_EQ(row["task"], "bundle_physical");
  EXPECT_EQ(row["interval"].size(), 2u);
  EXPECT_EQ(row["comparisons"][0]["against"], "dense");
  EXPECT_TRUE(row["comparisons"][0].contains("holm_p"));
}

}  // namespace
}  // namespace condense
