// The tables of an experiment from a database of fabricated results: tests/specs/tables.
#include "experiment/tables.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "experiment/plan/plan.h"
#include "report/tables/render.h"
#include "support/tiny_configs.h"
#include "unit/report/fabricated_results.h"

namespace condense {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ExperimentTables : public testing::Test {
 protected:
  ExperimentSpec Read(const std::string& yaml) {
    return ReadExperiment({configs_.Experiment("e", yaml), "", {}});
  }

  // Registers the cells of a spec, with a perplexity that tells methods, sizes and seeds apart.
  int64_t Fabricate(const ExperimentSpec& spec) {
    InputResolver inputs({{}, DataRoots::Default({})}, [](const std::filesystem::path& file) {
      return Sha256Hex(file.filename().string());
    });
    const ExperimentPlan plan = PlanExperiment(spec, inputs);
    const std::vector<ExperimentCell> cells = CellRecords(spec, plan);
    const int64_t id = results_.store().RegisterExperiment(ExperimentRecordOf(spec), cells);
    for (const ExperimentCell& cell : cells) {
      double perplexity = cell.run.method == "dense" ? 90 : 100;
      if (cell.run.calibration == "tiny-8x64") perplexity += 10;
      if (!cell.label.empty()) perplexity += 30;
      perplexity += static_cast<double>(cell.run.seed.value_or(0));
      results_.AddValue(cell.run, "tiny-64", "", "perplexity", perplexity);
      if (!cell.run.calibration.empty()) AddCoverage(cell.run);
    }
    return id;
  }

  // As a calibration stage stores it: with the digest of the set.
  void AddCoverage(const RunRecord& run) {
    StageResult stage;
    stage.metrics = {{.protocol = "calibration",
                      .metric = "fraction-used",
                      .value = run.calibration == "tiny-8x64" ? 0.25 : 0.5,
                      .basis = fmt::format("{} {}", run.calibration, run.seed.value_or(0))}};
    results_.Finish(run, "calibrate", stage);
  }

  std::string Text(const ExperimentSpec& spec, int64_t experiment) {
    std::string text;
    for (const NamedTable& table : ExperimentTablesOf(spec, results_.store(), experiment)) {
      text += fmt::format("=== {}\n{}", table.FileName(spec.name),
                          ToText(table.table, TextStyle::kPlain));
    }
    return text;
  }

  TinyConfigs configs_;
  FabricatedResults results_;
};

TEST_F(ExperimentTables, EqualTheirSpec) {
  const auto folder = SourceFolder() / "tests/specs/tables";
  const ExperimentSpec spec = Read(ReadFile(folder / "calibration_sizes.yaml"));
  const std::string text = Text(spec, Fabricate(spec));
  if (std::getenv("CONDENSE_UPDATE_SPECS") != nullptr) {
    WriteFileAtomically(folder / "calibration_sizes.txt", text);
  }
  EXPECT_EQ(text, ReadFile(folder / "calibration_sizes.txt"));
}

constexpr const char* kPaper = R"(title: Allocation
models: [llama-2-7b]
calibration: [wikitext2-128x2048]
perplexity: [wikitext2-4096]
methods:
  - {use: modegpt, label: even, allocator: uniform, published_as: "allocation: uniform"}
  - {use: modegpt, label: spread, published_as: "allocation: block-influence-softmax"}
  - {use: modegpt, label: OWL, allocator: owl}
ratios: [0.3]
table: {rows: [model, method], cell: perplexity, published: true}
)";

// The checkpoint is not there; its results are.
TEST_F(ExperimentTables, APublishedAblationStandsBesideTheRowThatNamesIt) {
  ::unsetenv("CONDENSE_CONFIGS");
  const ExperimentSpec spec = Read(kPaper);
  std::vector<RunRecord> runs;
  std::vector<ExperimentCell> cells;
  for (const MethodSpec& method : spec.methods) {
    RunRecord run = FabricatedResults::Run("llama-2-7b", "modegpt", 0.3);
    run.fingerprint += method.label;
    run.calibration = "wikitext2-128x2048";
    cells.push_back({run, method.label});
  }
  const int64_t id = results_.store().RegisterExperiment(ExperimentRecordOf(spec), cells);
  double perplexity = 9.10;
  for (const ExperimentCell& cell : cells) {
    results_.AddValue(cell.run, "wikitext2-4096", "", "perplexity", perplexity);
    perplexity -= 1.50;
  }
  const std::vector<NamedTable> tables = ExperimentTablesOf(spec, results_.store(), id);
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[1].FileName("table5"), "table5-published");
  std::vector<std::string> lines;
  for (const TableRow& row : tables[1].table.rows) {
    std::string line = row.keys[1];
    for (const TableCell& cell : row.cells) line += " | " + cell.text;
    lines.push_back(line);
  }
  // Neither the plain method's row of the paper's main table, nor OWL's, which is weak.
  EXPECT_THAT(lines, ElementsAre("even | 9.10 | 9.06 | +0.04 | reproduced",
                                 "spread | 7.60 | 7.51 | +0.09 | reproduced"));
}

TEST_F(ExperimentTables, RefuseWhatTheyCannotShow) {
  const std::string text = R"(title: A
models: [llama2-mini]
methods: [dense, slicegpt]
ratios: [0.2]
calibration: [tiny-8x64]
perplexity: [tiny-64]
table: {cell: perplexity, methods: [slicgpt]}
more_tables: {Big: {cell: perplexity}, published: {title: B, cell: perplexity}}
)";
  try {
    Read(text);
    ADD_FAILURE() << "accepted";
  } catch (const ConfigError& error) {
    const std::string message = error.what();
    EXPECT_THAT(message, HasSubstr("no method is labelled 'slicgpt'; did you mean 'slicegpt'?"));
    EXPECT_THAT(message, HasSubstr("'Big' becomes part of a file name"));
    EXPECT_THAT(message, HasSubstr("a further table needs a title"));
    EXPECT_THAT(message, HasSubstr("'published' becomes part of a file name"));
  }
}

}  // namespace
}  // namespace condense
