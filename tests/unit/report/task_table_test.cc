// Tables of zero-shot results: tasks and means as columns.
#include <gmock/gmock.h>

#include "base/error.h"
#include "report/statistics/scores.h"
#include "report/tables/table.h"
#include "stats/means.h"
#include "unit/report/fixture.h"

namespace condense {
namespace {

using testing::HasSubstr;
using Strings = std::vector<std::string>;

// Scores by the id of the measurement; each serves all metrics of a cell.
class FakeScores final : public ScoreSource {
 public:
  std::map<std::string, ScoreSeries> series;
  std::optional<ScoreSeries> Find(const std::string& id, const MetricValue& value) override {
    const auto found = series.find(id);
    if (found == series.end()) return std::nullopt;
    ScoreSeries copy = found->second;
    copy.basis = value.basis;
    return copy;
  }
  void Add(const std::string& id, const std::string& answers, Strings flags = {}) {
    ScoreSeries one;
    for (const char c : answers) one.values.push_back(c == '1' ? 1 : 0);
    one.flags = std::move(flags);
    one.chance = 0.25;
    series[id] = one;
  }
};

constexpr const char* kMean = "mean5-bundled";

// Rows model, ratio, method; one column for each task of the mean, then the mean.
TableSpec TaskTable() {
  TableSpec spec;
  spec.rows = {"model", "ratio", "method"};
  for (const MeanTerm& term : FindMean(kMean).terms) {
    spec.cells.push_back({{std::string(StoredName(term.metric)), "", term.task}});
  }
  spec.cells.push_back({{"", "", "", kMean}});
  return spec;
}

TableSpec OneTask() {
  TableSpec spec = TaskTable();
  spec.cells = {{{"acc_norm", "", "piqa"}}};
  return spec;
}

void AddTask(Measurement& cell, const std::string& task, const std::string& metric, double value) {
  cell.values.push_back({metric, "lmeval-bos", task, value, "requests of " + task, 0.01});
}

// Accuracies rise by one point from task to task.
Measurement Scored(const std::string& model, const std::string& method, const std::string& ratio,
                   double first) {
  Measurement cell = Cell(model, method, ratio);
  cell.status = Measurement::Status::kDone;
  for (const MeanTerm& term : FindMean(kMean).terms) {
    AddTask(cell, term.task, std::string(StoredName(term.metric)), first);
    first += 0.01;
  }
  return cell;
}

Measurement OfPiqa(const std::string& method, double value, const std::string& model = "a") {
  Measurement cell = Cell(model, method, "0.2");
  AddTask(cell, "piqa", "acc_norm", value);
  return cell;
}

Strings Texts(const TableRow& row) {
  Strings texts;
  for (const TableCell& cell : row.cells) texts.push_back(cell.text);
  return texts;
}

std::string Refusal(const TableSpec& spec, const std::vector<Measurement>& cells) {
  try {
    BuildTable(spec, cells);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "not refused";
}

TEST(TaskTable, AMeanFollowsItsTasks) {
  const Table table =
      BuildTable(TaskTable(), {Scored("a", "dense", "", 0.5), Scored("a", "x", "0.2", 0.4)});
  EXPECT_EQ(Texts(table.rows[0]), (Strings{"50.00", "51.00", "52.00", "53.00", "54.00", "52.00"}));
  EXPECT_EQ(table.rows[1].cells[5].text, "42.00");
  EXPECT_EQ(table.columns[5].heading, kMean);
  EXPECT_EQ(table.columns[1].metric, "acc");
  EXPECT_EQ(table.columns[5].metric, "mean");
  EXPECT_EQ(table.columns[5].task, kMean);
  EXPECT_EQ(table.rows[0].keys, (Strings{"a", "", "dense"}));
  EXPECT_EQ(table.rows[1].shown, (Strings{"a", "20%", "x"}));
  EXPECT_THAT(table.notes, testing::Contains("mean5-bundled: mean of 5 tasks, protocol lmeval-bos, "
                                             "in percent, higher is better"));
}

TEST(TaskTable, AMeanNeedsEveryTask) {
  std::vector<Measurement> cells = {Scored("a", "dense", "", 0.5), Scored("a", "x", "0.2", 0.4)};
  cells[1].values.pop_back();
  const Table table = BuildTable(TaskTable(), cells);
  EXPECT_EQ(Texts(table.rows[1]), (Strings{"40.00", "41.00", "42.00", "43.00", "-", "-"}));
  ASSERT_EQ(table.footnotes.size(), 1u);
  EXPECT_EQ(table.rows[1].cells[5].mark, "a");
  EXPECT_EQ(table.footnotes[0].second,
            "mean5-bundled is the mean of whole tasks under one protocol: bundle_facts is missing");
}

TEST(TaskTable, AMeanNeedsOneProtocol) {
  std::vector<Measurement> cells = {Scored("a", "x", "0.2", 0.5)};
  cells[0].values.back().protocol = "lmeval-nobos";
  EXPECT_EQ(BuildTable(TaskTable(), cells).rows[0].cells[5].text, "-");
  // A second protocol with all tasks has to be chosen.
  cells = {Scored("a", "x", "0.2", 0.5)};
  for (MetricValue value : Scored("a", "x", "0.2", 0.4).values) {
    value.protocol = "lmeval-nobos";
    cells[0].values.push_back(value);
  }
  EXPECT_THAT(Refusal(TaskTable(), cells), HasSubstr("two protocols"));
  TableSpec spec = TaskTable();
  for (ValueColumn& column : spec.cells) column.select.protocol = "lmeval-nobos";
  EXPECT_EQ(BuildTable(spec, cells).rows[0].cells[5].text, "42.00");
}

TEST(TaskTable, AMeanTakesEachTasksMetric) {
  std::vector<Measurement> cells = {Scored("a", "x", "0.2", 0.5)};
  cells[0].values[1].metric = "acc_norm";  // bundle_coreference has acc alone
  EXPECT_EQ(BuildTable(TaskTable(), cells).rows[0].cells[5].text, "-");
}

TEST(TaskTable, RefusesDifferentRequestsOverAllModels) {
  std::vector<Measurement> cells = {OfPiqa("x", 0.5, "a"), OfPiqa("x", 0.5, "b")};
  EXPECT_EQ(BuildTable(OneTask(), cells).rows.size(), 2u);
  cells[1].values[0].basis = "another file";
  const std::string message = Refusal(OneTask(), cells);
  EXPECT_THAT(message, HasSubstr("scored on different data of piqa"));
  EXPECT_THAT(message, HasSubstr("another file"));

  cells = {Scored("a", "x", "0.2", 0.5), Scored("b", "x", "0.2", 0.5)};
  TableSpec mean = TaskTable();
  mean.cells = {{{"", "", "", kMean}}};
  cells[1].values[4].basis = "another file";
  EXPECT_THAT(Refusal(mean, cells), HasSubstr("different data of bundle_facts"));
}

TEST(TaskTable, RefusesAPartBesideTheWhole) {
  std::vector<Measurement> cells = {OfPiqa("x", 0.5), OfPiqa("y", 0.6)};
  cells[1].values[0].task = "piqa@first-100";
  const std::string message = Refusal(OneTask(), cells);
  EXPECT_THAT(message, HasSubstr("'piqa' (cell model=a, ratio=0.2, method=x)"));
  EXPECT_THAT(message, HasSubstr("'piqa@first-100' (cell model=a, ratio=0.2, method=y)"));
}

TEST(TaskTable, PartsAloneSayThatTheyAreParts) {
  std::vector<Measurement> cells = {OfPiqa("x", 0.5), OfPiqa("y", 0.6)};
  for (Measurement& cell : cells) cell.values[0].task = "piqa@first-100";
  TableSpec spec = OneTask();
  spec.labels = {{"piqa", "PIQA"}};
  EXPECT_EQ(BuildTable(spec, cells).columns[0].heading, "PIQA@first-100");

  cells = {Scored("a", "x", "0.2", 0.5)};
  for (MetricValue& value : cells[0].values) value.task += "@first-100";
  const Table table = BuildTable(TaskTable(), cells);
  EXPECT_EQ(table.rows[0].cells[0].text, "50.00");
  EXPECT_EQ(table.rows[0].cells[5].text, "-");
  EXPECT_THAT(table.footnotes.at(0).second, HasSubstr("mean of whole tasks"));
}

TEST(TaskTable, ShowsStandardErrorsInBrackets) {
  TableSpec spec = TaskTable();
  for (ValueColumn& column : spec.cells) column.show_error = true;
  const Table table = BuildTable(spec, {Scored("a", "x", "0.2", 0.5)});
  EXPECT_EQ(table.rows[0].cells[0].text, "50.00 (1.00)");
  EXPECT_EQ(table.rows[0].cells[5].text, "52.00 (0.45)");  // 0.01 / sqrt 5
  EXPECT_THAT(table.notes[0], HasSubstr("standard error in brackets"));
}

TEST(TaskTable, ThePerplexitysErrorComesFromItsLogarithm) {
  TableSpec spec = OneTask();
  spec.cells = {{.select = {"perplexity"}, .show_error = true}};
  Measurement cell = Cell("a", "x", "0.2", {{"perplexity", 20}});
  EXPECT_EQ(BuildTable(spec, {cell}).rows[0].cells[0].text, "20.00");
  cell.values.push_back({"nll", "bundled-256", "", 2.9957, "", 0.02});
  EXPECT_EQ(BuildTable(spec, {cell}).rows[0].cells[0].text, "20.00 (0.40)");
}

TEST(TaskTable, ShowsRetention) {
  TableSpec spec = TaskTable();
  using Kind = ValueColumn::Kind;
  spec.cells = {{.select = {"", "", "", kMean}, .kind = Kind::kRetention},
                {.select = {"", "", "", kMean}, .kind = Kind::kRetentionAboveChance},
                {.select = {"acc_norm", "", "bundle_facts"}, .kind = Kind::kRetentionAboveChance}};
  const Table table = BuildTable(spec, {Scored("a", "dense", "", 0.5), Scored("a", "x", "0.2", 0.4),
                                        Scored("b", "x", "0.2", 0.4)});
  // Chance: 0.5, 0.5, and 0.25 three times.
  EXPECT_EQ(Texts(table.rows[0]), (Strings{"100.00", "100.00", "100.00"}));
  EXPECT_EQ(Texts(table.rows[1]), (Strings{"80.77", "41.18", "65.52"}));
  EXPECT_EQ(Texts(table.rows[2]), (Strings{"-", "-", "-"}));  // no dense b
  EXPECT_EQ(table.columns[1].heading, "retention above chance of mean5-bundled");
}

TEST(TaskTable, MarksTheBestWithinModelAndRatio) {
  const Table table = BuildTable(
      OneTask(), {OfPiqa("dense", 0.9), OfPiqa("x", 0.6), OfPiqa("y", 0.7), OfPiqa("x", 0.8, "b")});
  EXPECT_FALSE(table.rows[0].cells[0].best);
  EXPECT_FALSE(table.rows[1].cells[0].best);
  EXPECT_TRUE(table.rows[2].cells[0].best);
  EXPECT_FALSE(table.rows[3].cells[0].best);  // nothing to be compared with
}

TEST(TaskTable, MarksWhatIsWithinPairedNoiseOfTheBest) {
  FakeScores scores;
  // Of 40 documents, x loses one to y (p = 1), z loses ten and gains none (p = 0.002).
  scores.Add("a/y/0.2", std::string(30, '1') + std::string(10, '0'));
  scores.Add("a/x/0.2", std::string(29, '1') + std::string(11, '0'));
  scores.Add("a/z/0.2", std::string(20, '1') + std::string(20, '0'));
  const std::vector<Measurement> cells = {OfPiqa("x", 0.725), OfPiqa("y", 0.75), OfPiqa("z", 0.5)};
  const Table table = BuildTable(OneTask(), cells, &scores);
  EXPECT_TRUE(table.rows[0].cells[0].best);
  EXPECT_TRUE(table.rows[1].cells[0].best);
  EXPECT_FALSE(table.rows[2].cells[0].best);
  EXPECT_THAT(table.notes, testing::Contains(HasSubstr("paired test")));
  // Without the scores only the best itself is marked.
  EXPECT_FALSE(BuildTable(OneTask(), cells).rows[0].cells[0].best);
  // Nor when they were scored on something else, or are no longer there.
  scores.series.erase("a/x/0.2");
  EXPECT_FALSE(BuildTable(OneTask(), cells, &scores).rows[0].cells[0].best);
}

TEST(TaskTable, PairsTheTasksOfAMeanAndTheWindowsOfAText) {
  const auto noisy = [](double shift, double step) {
    ScoreSeries series{.kind = ScoreSeries::Kind::kWindows};
    for (int i = 0; i < 64; ++i) series.values.push_back(3 + shift + step * (i % 7 - 3));
    return series;
  };
  EXPECT_TRUE(WithinPairedNoise({noisy(0, 0.1)}, {noisy(0.001, 0.11)}));
  EXPECT_FALSE(WithinPairedNoise({noisy(0, 0.1)}, {noisy(0.02, 0.11)}));
  const auto answers = [](const std::string& text) {
    ScoreSeries series;
    for (const char c : text) series.values.push_back(c == '1');
    return series;
  };
  const std::string ten = "1100110011", twenty = ten + ten;
  std::string worse = twenty;
  for (size_t i = 0; i < 12; ++i) worse[i] = '0';
  EXPECT_TRUE(WithinPairedNoise({answers(ten), answers(twenty)}, {answers(ten), answers(twenty)}));
  EXPECT_FALSE(WithinPairedNoise({answers(ten), answers(twenty)}, {answers(ten), answers(worse)}));
  EXPECT_FALSE(WithinPairedNoise({answers(ten)}, {answers(twenty)}));
  EXPECT_FALSE(WithinPairedNoise({}, {}));
}

TEST(TaskTable, MarksFlagsWithAFootnoteEach) {
  FakeScores scores;
  scores.Add("a/x/0.2", "10", {"majority_class", "chance"});
  scores.Add("a/y/0.2", "10", {"chance"});
  const Table table = BuildTable(OneTask(), {OfPiqa("x", 0.5), OfPiqa("y", 0.5)}, &scores);
  EXPECT_EQ(table.rows[0].cells[0].mark, "a,b");
  EXPECT_EQ(table.rows[1].cells[0].mark, "b");
  EXPECT_EQ(table.rows[0].cells[0].flags, (Strings{"majority_class", "chance"}));
  ASSERT_EQ(table.footnotes.size(), 2u);
  EXPECT_THAT(table.footnotes[0].second, HasSubstr("majority class"));
  EXPECT_THAT(table.footnotes[1].second, HasSubstr("includes the accuracy of guessing"));
}

TEST(TaskTable, FailedAndMissingCellsStayAsTheyAre) {
  const Table table =
      BuildTable(TaskTable(), {Scored("a", "dense", "", 0.5), Cell("a", "x", "0.2"),
                               Failed(Cell("a", "y", "0.2"), "non_finite", "document 3")});
  EXPECT_EQ(Texts(table.rows[1]), Strings(6, "-"));
  EXPECT_EQ(table.rows[1].cells[5].mark, "");
  EXPECT_EQ(Texts(table.rows[2]), Strings(6, "failed"));
  EXPECT_EQ(table.footnotes.size(), 1u);
}

}  // namespace
}  // namespace condense
