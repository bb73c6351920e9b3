// The key `table`: entries that stand for tasks and means, and how wrong ones are refused.
#include "experiment/spec/table_yaml.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "report/measurements.h"
#include "report/statistics/stored_scores.h"
#include "report/tables/render.h"
#include "stats/means.h"
#include "support/shared_data.h"
#include "unit/report/fabricated_results.h"

namespace condense {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Kind = ValueColumn::Kind;

ExperimentTable Read(const std::string& yaml) {
  return ReadStruct<ExperimentTable>(Node::ParseText(yaml, "t.yaml"));
}

std::vector<ValueColumn> Cells(const std::string& cell) { return Read("cell: " + cell).cell; }

std::string Refusal(const std::string& cell) {
  try {
    Cells(cell);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

// "acc_norm piqa", or the mean.
std::vector<std::string> Names(const std::vector<ValueColumn>& columns) {
  std::vector<std::string> names;
  for (const ValueColumn& column : columns) {
    const MetricSelector& select = column.select;
    names.push_back(select.mean.empty() ? select.metric + " " + select.task : select.mean);
  }
  return names;
}

TEST(TableYaml, TasksStandForAColumnEachAndTheMean) {
  const std::vector<ValueColumn> cells =
      Cells("{tasks: mean5-bundled, protocol: lmeval-bos, show: error}");
  EXPECT_THAT(Names(cells),
              ElementsAre("acc_norm bundle_physical", "acc bundle_coreference",
                          "acc_norm bundle_continuations", "acc_norm bundle_science_easy",
                          "acc_norm bundle_facts", "mean5-bundled"));
  for (const ValueColumn& cell : cells) {
    EXPECT_EQ(cell.select.protocol, "lmeval-bos");
    EXPECT_TRUE(cell.show_error);
  }
}

TEST(TableYaml, TasksAndMeansGoWithOtherEntries) {
  const std::vector<ValueColumn> cells = Cells(
      "[{tasks: mean5}, {mean: mean5, retention: true}, {mean: mean5, retention: above_chance, "
      "decimals: 1}, {metric: acc, task: boolq}, {metric: acc, task: boolq@first-100}, {metric: "
      "ppl, task: lambada_openai}, perplexity]");
  ASSERT_EQ(cells.size(), 12u);
  EXPECT_EQ(cells[6].kind, Kind::kRetention);
  EXPECT_EQ(cells[7].kind, Kind::kRetentionAboveChance);
  EXPECT_EQ(cells[7].format->digits, 1);
  EXPECT_EQ(cells[7].format->style, NumberFormat::Style::kFixed);
  EXPECT_EQ(cells[8].select.task, "boolq");
  EXPECT_EQ(cells[11].select.metric, "perplexity");
  // Decimals of an accuracy are those of its percentage.
  EXPECT_EQ(Cells("{mean: mean5, decimals: 1}")[0].format->style, NumberFormat::Style::kPercent);
}

TEST(TableYaml, RefusesWithThePlaceAndTheNearestName) {
  EXPECT_THAT(Refusal("{tasks: mean5-bundle}"),
              HasSubstr("t.yaml:1:15: cell.tasks: unknown mean 'mean5-bundle'; did you mean "
                        "'mean5-bundled'?"));
  EXPECT_THAT(Refusal("{mean: mean55}"), HasSubstr("unknown mean 'mean55'; did you mean 'mean5'?"));
  EXPECT_THAT(Refusal("{metric: acc, task: pica}"),
              HasSubstr("cell.task: unknown task 'pica'; did you mean 'piqa'?"));
  EXPECT_THAT(Refusal("{metric: acc_nrm, task: piqa}"),
              HasSubstr("unknown metric 'acc_nrm'; did you mean 'acc_norm'?"));
  EXPECT_THAT(Refusal("{means: mean5}"), HasSubstr("unknown key 'means'; did you mean 'mean'?"));
  EXPECT_THAT(Refusal("{mean: mean5, retention: abov_chance}"), HasSubstr("above_chance"));
}

TEST(TableYaml, RefusesWhatDoesNotGoTogether) {
  EXPECT_THAT(Refusal("acc"), HasSubstr("acc belongs to a task: {metric: acc, task: NAME}"));
  EXPECT_THAT(Refusal("{metric: acc}"), HasSubstr("name it with task: NAME"));
  EXPECT_THAT(Refusal("{}"), HasSubstr("give one of metric, mean and tasks"));
  EXPECT_THAT(Refusal("{mean: mean5, tasks: mean5}"), HasSubstr("give one of"));
  EXPECT_THAT(Refusal("{mean: mean5, task: piqa}"),
              HasSubstr("cell.task: is allowed only with metric"));
  EXPECT_THAT(Refusal("{tasks: mean5, heading: x}"), HasSubstr("under labels"));
  EXPECT_THAT(Refusal("{metric: perplexity, retention: true}"),
              HasSubstr("applies only to accuracies"));
  EXPECT_THAT(Refusal("{mean: mean5, retention: true, relative: true}"),
              HasSubstr("cannot be combined with relative"));
  EXPECT_THAT(Refusal("{mean: mean5, retention: true, show: error}"),
              HasSubstr("have no standard error"));
}

// Scores in the database to printed table: flags, paired noise, a task that is missing.
TEST(TableYaml, EqualsItsSpec) {
  FabricatedResults results;
  const RunRecord dense = FabricatedResults::Run("llama2-mini", "dense"),
                  sliced = FabricatedResults::Run("llama2-mini", "slicegpt", 0.2),
                  modegpt = FabricatedResults::Run("llama2-mini", "modegpt", 0.2),
                  shortgpt = FabricatedResults::Run("llama2-mini", "shortgpt", 0.2);
  const int64_t experiment = results.Register({dense, sliced, modegpt, shortgpt});
  int right = 100;
  for (const MeanTerm& term : FindMean("mean5-bundled").terms) {
    results.Add(dense, FabricatedScores(term.task, Answers(right, 120)));
    results.Add(sliced, FabricatedScores(term.task, Answers(right - 38, 120)));
    results.Add(modegpt, FabricatedScores(term.task, Answers(right - 8, 120)));
    if (right < 108) results.Add(shortgpt, FabricatedScores(term.task, Answers(right - 9, 120)));
    right += 2;
  }
  results.AddLosses(dense, "bundled-256", {3.0, 3.1, 2.9});
  results.AddLosses(modegpt, "bundled-256", {3.1, 3.2, 3.0});

  const auto folder = SourceFolder() / "tests/specs/tables";
  const TableSpec spec =
      TableSpecOf(ReadStruct<ExperimentTable>(Node::ParseFile(folder / "zero_shot.yaml")),
                  "Zero-shot accuracy");
  StoredScores scores(results.store());
  const std::string text = ToText(
      BuildTable(spec, MeasurementsOf(results.store(), experiment), &scores), TextStyle::kPlain);
  if (std::getenv("CONDENSE_UPDATE_SPECS") != nullptr) {
    WriteFileAtomically(folder / "zero_shot.txt", text);
  }
  EXPECT_EQ(text, ReadFile(folder / "zero_shot.txt"));
}

TEST(TableYaml, EveryTaskOfAMeanIsDefined) {
  for (const NamedMean& mean : NamedMeans()) {
    for (const MeanTerm& term : mean.terms) {
      EXPECT_EQ(Refusal("{metric: acc, task: " + term.task + "}"), "accepted");
    }
  }
}

}  // namespace
}  // namespace condense
