// Rendered tables against tests/specs/report. CONDENSE_UPDATE_SPECS=1 writes them anew: read the
// diff.
#include "report/tables/render.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "support/shared_data.h"
#include "unit/report/fixture.h"

namespace condense {
namespace {

// A metric of these tests, shown as the accuracies beside it.
[[maybe_unused]] const Metric& kMean5 =
    RegisterMetric({.name = "mean5",
                    .unit = "fraction",
                    .format = {NumberFormat::Style::kPercent, 2},
                    .better = Better::kHigher,
                    .label = "mean"});

void ExpectSpec(const std::string& name, const std::string& text) {
  const auto path = SourceFolder() / "tests/specs/report" / name;
  if (std::getenv("CONDENSE_UPDATE_SPECS") != nullptr) WriteFileAtomically(path, text);
  EXPECT_EQ(text, ReadFile(path)) << path;
}

void ExpectSpecs(const std::string& name, const Table& table) {
  ExpectSpec(name + ".md", ToMarkdown(table));
  ExpectSpec(name + ".tex", ToLatex(table));
  ExpectSpec(name + ".csv", ToCsv(table));
  ExpectSpec(name + ".txt", ToText(table, TextStyle::kPlain));
}

Table PerplexityTable() {
  TableSpec spec = PerplexityByRatio();
  spec.extra = {{{"total-params"}}};
  return BuildTable(
      spec,
      {Cell("llama2-mini", "dense", "", {{"perplexity", 15.0 / 7}}),
       Cell("llama2-mini", "slicegpt", "0.1", {{"perplexity", 2.5}, {"total-params", 0.0939}}),
       Cell("llama2-mini", "slicegpt", "0.2", {{"perplexity", 3.75}, {"total-params", 0.1534}}),
       Cell("llama2-mini", "modegpt", "0.1", {{"perplexity", 2.25}, {"total-params", 0.0901}}),
       Cell("llama2-mini", "modegpt", "0.2"),
       Cell("opt-mini", "dense", "", {{"perplexity", 27.65}}),
       Cell("opt-mini", "slicegpt", "0.1", {{"perplexity", 29.33}, {"total-params", -0.176}}),
       Cell("opt-mini", "slicegpt", "0.2", {{"perplexity", 3.25e7}, {"total-params", -0.128}}),
       Failed(Cell("opt-mini", "modegpt", "0.1"), "numeric", "layer 3: C_QQ is singular"),
       Cell("opt-mini", "modegpt", "0.2", {{"perplexity", 34.53}, {"total-params", 0.18}})});
}

Table SeedTable() {
  TableSpec spec = PerplexityByRatio();
  spec.title = "Over seeds";
  spec.best = TableSpec::Best::kNone;
  std::vector<Measurement> cells;
  for (const char* method : {"slicegpt", "modegpt"}) {
    for (int seed = 0; seed < 3; ++seed) {
      Measurement cell = Cell("llama2-mini", method, "0.2", {{"perplexity", 6 + 0.01 * seed}});
      cell.keys["seed"] = std::to_string(seed);
      cell.id += "/" + std::to_string(seed);
      if (seed == 2 && std::string(method) == "modegpt") cell.values.clear();
      cells.push_back(cell);
    }
  }
  return BuildTable(spec, cells);
}

// One run's accuracies; names hold what the formats must escape.
Table TaskTable() {
  TableSpec spec;
  spec.title = "Zero-shot, 50% of R&D | costs";
  spec.rows = {"model", "method", "ratio"};
  for (const char* task : {"piqa", "arc_easy"}) spec.cells.push_back({{"acc_norm", "", task}});
  spec.cells.push_back({{"mean5"}, "mean*"});
  spec.extra = {{{"perplexity"}, "", ValueColumn::Kind::kRelativeToDense}};
  spec.labels = {{"top_columns", "top_columns {k=8}"}, {"modegpt", "MoDeGPT"}};
  std::vector<Measurement> cells;
  double step = 0;
  for (const char* method : {"dense", "top_columns", "modegpt"}) {
    Measurement cell = Cell("llama-3-8b", method, "0.25", {{"perplexity", 6.14 + 2 * step}});
    for (const char* task : {"piqa", "arc_easy"}) {
      cell.values.push_back({"acc_norm", "lmeval-bos", task, 0.8063 - step, ""});
    }
    cell.values.push_back({"mean5", "lmeval-bos", "", 0.7275 - step, ""});
    cells.push_back(cell);
    step += 0.0625;
  }
  cells[1].id = "a,\"b\"";
  return BuildTable(spec, cells);
}

TEST(Render, PerplexityByRatioEqualsItsSpec) { ExpectSpecs("perplexity", PerplexityTable()); }
TEST(Render, SeedsEqualTheirSpec) { ExpectSpecs("seeds", SeedTable()); }
TEST(Render, TasksEqualTheirSpec) { ExpectSpecs("tasks", TaskTable()); }

TEST(Render, TheTerminalShowsTheBestInBold) {
  const std::string text = ToText(PerplexityTable(), TextStyle::kTerminal);
  EXPECT_NE(text.find("\033[1m2.25\033[0m"), std::string::npos);
  EXPECT_EQ(text.find("2.25*"), std::string::npos);
}

TEST(Render, CsvKeepsEveryDigit) {
  EXPECT_NE(ToCsv(PerplexityTable()).find(",2.142857142857143,"), std::string::npos);
}

TEST(Render, AnEmptyTableIsATableWithoutRows) {
  const Table table = BuildTable(PerplexityByRatio(), {});
  EXPECT_EQ(ToMarkdown(table),
            "**Perplexity by method and ratio**\n\n| model | method |\n| --- | --- |\n");
}

}  // namespace
}  // namespace condense
