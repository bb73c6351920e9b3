#include "report/tables/table.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "report/measurements.h"
#include "support/temp_folder.h"
#include "unit/report/fixture.h"

namespace condense {
namespace {

std::string Refusal(const TableSpec& spec, const std::vector<Measurement>& cells) {
  try {
    BuildTable(spec, cells);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "not refused";
}

#define EXPECT_SAYS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "message: " << (text)

std::vector<std::string> Texts(const TableRow& row) {
  std::vector<std::string> texts;
  for (const TableCell& cell : row.cells) texts.push_back(cell.text);
  return texts;
}

using Strings = std::vector<std::string>;

TEST(Table, KeepsTheOrderOfTheExperiment) {
  const Table table = BuildTable(PerplexityByRatio(),
                                 {Cell("zeta", "slicegpt", "0.5"), Cell("zeta", "slicegpt", "0.1"),
                                  Cell("alpha", "slicegpt", "0.5"), Cell("alpha", "modegpt", "0.1"),
                                  Cell("zeta", "modegpt", "0.1")});
  ASSERT_EQ(table.rows.size(), 4u);
  EXPECT_EQ(table.rows[0].keys, (Strings{"zeta", "slicegpt"}));
  EXPECT_EQ(table.rows[1].keys, (Strings{"zeta", "modegpt"}));
  EXPECT_EQ(table.rows[2].keys, (Strings{"alpha", "slicegpt"}));
  EXPECT_FALSE(table.rows[1].starts_group);
  EXPECT_TRUE(table.rows[2].starts_group);
  ASSERT_EQ(table.columns.size(), 2u);
  EXPECT_EQ(table.columns[0].heading, "50%");
  EXPECT_EQ(table.columns[1].heading, "10%");
}

TEST(Table, ShowsTheDenseValueInAColumnOfItsOwn) {
  const Table table =
      BuildTable(PerplexityByRatio(), {Cell("a", "slicegpt", "0.1", {{"perplexity", 6}}),
                                       Cell("a", "dense", "", {{"perplexity", 5.123}})});
  EXPECT_EQ(table.columns[0].heading, "dense");
  EXPECT_EQ(Texts(table.rows[0]), (Strings{"", "6.00"}));
  EXPECT_EQ(Texts(table.rows[1]), (Strings{"5.12", ""}));
  EXPECT_EQ(table.rows[1].cells[1].state, TableCell::State::kBlank);
}

TEST(Table, TellsFailedFromMissing) {
  const Table table = BuildTable(
      PerplexityByRatio(),
      {Cell("a", "x", "0.1", {{"perplexity", 6}}), Cell("a", "x", "0.2"),
       Failed(Cell("a", "y", "0.1"), "numeric", "layer 3: not\npositive definite"),
       Failed(Cell("a", "y", "0.2", {{"perplexity", 9}}), "data", "the second task had no file")});
  EXPECT_EQ(Texts(table.rows[0]), (Strings{"6.00", "-"}));
  EXPECT_EQ(Texts(table.rows[1]), (Strings{"failed", "9.00"}));  // what was finished stays
  ASSERT_EQ(table.footnotes.size(), 1u);
  EXPECT_EQ(table.footnotes[0].first, table.rows[1].cells[0].mark);
  EXPECT_EQ(table.footnotes[0].second, "numeric: layer 3: not positive definite");
}

TEST(Table, MarksTheBestOfEachModelAndColumn) {
  const Table table = BuildTable(
      PerplexityByRatio(),
      {Cell("a", "dense", "", {{"perplexity", 1}}), Cell("a", "x", "0.1", {{"perplexity", 6.0}}),
       Cell("a", "y", "0.1", {{"perplexity", 5.001}}),
       Cell("a", "z", "0.1", {{"perplexity", 5.002}}), Cell("b", "x", "0.1", {{"perplexity", 80}}),
       Cell("b", "y", "0.1", {{"perplexity", 90}}), Cell("c", "x", "0.1", {{"perplexity", 2}})});
  const auto best = [&](size_t row) { return table.rows[row].cells[1].best; };
  EXPECT_FALSE(table.rows[0].cells[0].best);
  EXPECT_FALSE(best(1));
  EXPECT_TRUE(best(2));
  EXPECT_TRUE(best(3));  // prints the same
  EXPECT_TRUE(best(4));
  EXPECT_FALSE(best(5));
  EXPECT_FALSE(best(6));  // nothing to be compared with
}

TEST(Table, ComparesMethodsAtEqualRatioWhenTheRatioIsARow) {
  TableSpec spec = PerplexityByRatio();
  spec.rows = {"model", "method", "ratio"};
  spec.columns = {};
  const Table table = BuildTable(
      spec,
      {Cell("a", "x", "0.1", {{"perplexity", 6}}), Cell("a", "x", "0.2", {{"perplexity", 7}}),
       Cell("a", "y", "0.1", {{"perplexity", 5}}), Cell("a", "y", "0.2", {{"perplexity", 8}})});
  EXPECT_EQ(table.columns[0].heading, "perplexity");
  EXPECT_FALSE(table.rows[0].cells[0].best);
  EXPECT_TRUE(table.rows[1].cells[0].best);
  EXPECT_TRUE(table.rows[2].cells[0].best);
  EXPECT_FALSE(table.rows[3].cells[0].best);
}

TEST(Table, RelativeValuesReferToTheDenseModelOfTheSameRow) {
  TableSpec spec = PerplexityByRatio();
  spec.cells[0].kind = ValueColumn::Kind::kRelativeToDense;
  const Table table = BuildTable(spec, {Cell("a", "dense", "", {{"perplexity", 5.12}}),
                                        Cell("a", "x", "0.2", {{"perplexity", 6.16}}),
                                        Cell("b", "x", "0.2", {{"perplexity", 6.16}})});
  EXPECT_EQ(Texts(table.rows[0]), (Strings{"1.000", ""}));
  EXPECT_EQ(Texts(table.rows[1]), (Strings{"", "1.203"}));
  EXPECT_EQ(Texts(table.rows[2]), (Strings{"", "-"}));  // b was not measured dense
}

TEST(Table, AveragesOverSeeds) {
  std::vector<Measurement> cells;
  for (int seed = 0; seed < 3; ++seed) {
    Measurement cell = Cell("a", "x", "0.2", {{"perplexity", 5.0 + seed}});
    cell.keys["seed"] = std::to_string(seed);
    cells.push_back(cell);
  }
  EXPECT_EQ(Texts(BuildTable(PerplexityByRatio(), cells).rows[0]), (Strings{"6.00 ± 2.48"}));

  cells[1].values.clear();
  cells[1].status = Measurement::Status::kMissing;
  Table table = BuildTable(PerplexityByRatio(), cells);
  EXPECT_EQ(table.footnotes.at(0).second, "2 of 3 seeds");

  cells[1] = Failed(cells[1], "non_finite", "window 3");
  table = BuildTable(PerplexityByRatio(), cells);
  EXPECT_EQ(Texts(table.rows[0]), (Strings{"failed"}));
  EXPECT_EQ(table.footnotes.at(0).second, "non_finite: window 3 (1 of 3 seeds)");
}

TEST(Table, RefusesTwoProtocolsInAColumn) {
  std::vector<Measurement> cells = {Cell("a", "x", "0.1", {{"perplexity", 6}}),
                                    Cell("b", "y", "0.1", {{"perplexity", 7}})};
  cells[1].values[0].protocol = "wikitext2-4096";
  const std::string message = Refusal(PerplexityByRatio(), cells);
  for (const char* part : {"bundled-256", "wikitext2-4096", "model=a, method=x, ratio=0.1",
                           "model=b, method=y, ratio=0.1"}) {
    EXPECT_SAYS(message, part);
  }
  // A definition that names the protocol leaves the other cell empty.
  TableSpec spec = PerplexityByRatio();
  spec.cells[0].select.protocol = "bundled-256";
  EXPECT_EQ(Texts(BuildTable(spec, cells).rows[1]), (Strings{"-"}));
}

TEST(Table, RefusesTwoProtocolsInOneCell) {
  std::vector<Measurement> cells = {Cell("a", "x", "0.1", {{"perplexity", 6}})};
  cells[0].values.push_back({"perplexity", "c4-256w", "", 9, ""});
  EXPECT_SAYS(Refusal(PerplexityByRatio(), cells), "two protocols");
}

TEST(Table, RefusesTwoKindsOfRatio) {
  std::vector<Measurement> cells = {Cell("a", "x", "0.1"), Cell("a", "y", "0.1")};
  cells[1].keys["ratio_kind"] = "nominal";
  const std::string message = Refusal(PerplexityByRatio(), cells);
  EXPECT_SAYS(message, "ratio_kind: 'block'");
  EXPECT_SAYS(message, "'nominal'");
  TableSpec spec = PerplexityByRatio();
  spec.rows.push_back("ratio_kind");
  EXPECT_EQ(BuildTable(spec, cells).rows.size(), 2u);
}

TEST(Table, RefusesValuesScoredOnDifferentDataForOneModel) {
  std::vector<Measurement> cells = {Cell("a", "x", "0.1", {{"perplexity", 6}}),
                                    Cell("b", "x", "0.1", {{"perplexity", 7}}),
                                    Cell("a", "y", "0.1", {{"perplexity", 8}})};
  cells[0].values[0].basis = "d1";
  cells[1].values[0].basis = "d2";  // another tokenizer
  cells[2].values[0].basis = "d1";
  EXPECT_EQ(BuildTable(PerplexityByRatio(), cells).rows.size(), 3u);
  cells[2].values[0].basis = "d3";
  EXPECT_SAYS(Refusal(PerplexityByRatio(), cells), "scored on different data");
}

TEST(Table, RefusesTwoDifferentCellsInOnePlace) {
  std::vector<Measurement> cells = {Cell("a", "x", "0.1"), Cell("a", "x", "0.1")};
  EXPECT_SAYS(Refusal(PerplexityByRatio(), cells), "occurs twice");
  cells[0].keys["calibration"] = "alpaca-128x2048";
  cells[1].keys["calibration"] = "wikitext2-128x2048";
  EXPECT_SAYS(Refusal(PerplexityByRatio(), cells), "add 'calibration' to the rows");
}

TEST(Table, RefusesUnknownKeys) {
  TableSpec spec = PerplexityByRatio();
  spec.rows = {"modle", "method"};
  EXPECT_SAYS(Refusal(spec, {Cell("a", "x", "0.1")}), "did you mean 'model'?");
  spec = PerplexityByRatio();
  spec.compare = {"ratio"};
  EXPECT_SAYS(Refusal(spec, {Cell("a", "x", "0.1")}), "compare");
  spec = PerplexityByRatio();
  spec.cells.clear();
  EXPECT_SAYS(Refusal(spec, {}), "at least one");
}

TEST(Measurements, ComeFromTheDatabaseInTheOrderOfTheExperiment) {
  const TempFolder folder;
  ResultsStore store = ResultsStore::Open(folder.path() / "r.sqlite", OpenMode::kWrite);
  RunRecord dense, sliced, broken;
  dense.fingerprint = "1", dense.model = "a", dense.method = "dense";
  sliced.fingerprint = "2", sliced.model = "a", sliced.method = "slicegpt";
  sliced.nominal_ratio = 0.3, sliced.match = "block", sliced.seed = 42;
  broken = sliced;
  broken.fingerprint = "3", broken.nominal_ratio = 0.1;
  const int64_t id =
      store.RegisterExperiment({0, "table1", "bundled", "", "spec", "file"},
                               {{dense}, {sliced, "SliceGPT"}, {broken, "SliceGPT"}});
  store.RegisterProtocol("bundled-256", "{}");
  const int64_t environment = store.RegisterEnvironment(DescribeMachine());
  for (const auto& [fingerprint, value] : {std::pair("1", 5.125), std::pair("2", 6.5)}) {
    const Claim run = store.ClaimRun(fingerprint, environment);
    const Claim stage =
        store.ClaimStage(run.id, {std::string("s") + fingerprint, "evaluate", ""}, environment);
    MetricRecord metric;
    metric.protocol = "bundled-256";
    metric.metric = "perplexity";
    metric.value = value;
    ASSERT_TRUE(store.FinishStage(stage.id, {.metrics = {metric}}));
    store.FinishRun(run.id);
  }
  store.FailRun(store.ClaimRun("3", environment).id, "numeric", "message");

  const std::vector<Measurement> cells = MeasurementsOf(store, id);
  ASSERT_EQ(cells.size(), 3u);
  EXPECT_TRUE(cells[0].dense);
  EXPECT_FALSE(cells[0].keys.contains("ratio"));
  EXPECT_EQ(cells[1].keys.at("method"), "SliceGPT");
  EXPECT_EQ(cells[1].keys.at("ratio"), "0.3");
  EXPECT_EQ(cells[2].status, Measurement::Status::kFailed);
  const Table table = BuildTable(PerplexityByRatio(), cells);
  EXPECT_EQ(Texts(table.rows[0]), (Strings{"5.12", "", ""}));
  EXPECT_EQ(Texts(table.rows[1]), (Strings{"", "6.50", "failed"}));
}

}  // namespace
}  // namespace condense
