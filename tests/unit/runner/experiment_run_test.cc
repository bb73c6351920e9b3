// Experiments from end to end: resuming, failing, sharing a database, and leaving numbers alone.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>

#include "base/file.h"
#include "report/csv.h"
#include "results/results_store.h"
#include "unit/runner/runner_process.h"

namespace condense {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kYaml = R"(title: Tiny
models: [llama3-mini, opt-mini]
methods: [dense, shortgpt, {use: slicegpt, round_to: 1}]
ratios: [0.2, 0.3]
calibration: [tiny-8x64]
perplexity: [tiny-64]
table: {cell: perplexity, extra: [total-params]}
)";
constexpr size_t kCells = 10;

class ExperimentRun : public testing::Test {
 protected:
  ExperimentRun() : file_(configs_.Experiment("tiny", kYaml)) {}

  std::vector<std::string> Arguments(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {file_.string(), "--db", Database().string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  ProgramResult Run(std::vector<std::string> more = {}) const {
    return CallProgramWith(Arguments(std::move(more)));
  }
  std::string Csv() const {
    return CallProgramWith(
               {"table", file_.string(), "--db", Database().string(), "--format", "csv"})
        .out;
  }
  std::filesystem::path Database() const { return results_ / "results.sqlite"; }

  // Attempts of all runs and stages of the experiment as it was registered last.
  struct Work {
    size_t runs = 0, done = 0;
    int most_attempts = 0, stage_attempts = 0;
  };
  Work WorkDone() const {
    const ResultsStore store = ResultsStore::Open(Database(), OpenMode::kRead);
    Work work;
    for (const ExperimentCell& cell :
         store.CellsOfExperiment(store.FindExperiment("tiny", "")->id)) {
      ++work.runs;
      work.done += cell.run.state.status == WorkStatus::kDone;
      work.most_attempts = std::max(work.most_attempts, cell.run.state.attempt);
      for (const StageRecord& stage : store.StagesOfRun(cell.run.id))
        work.stage_attempts += stage.state.attempt;
    }
    return work;
  }

  TinyConfigs configs_;
  std::filesystem::path results_ = configs_.folder() / "results";
  std::filesystem::path file_;
};

TEST_F(ExperimentRun, FillsEveryCellAndASecondRunComputesNothing) {
  const ProgramResult first = Run();
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("Tiny\n"));
  EXPECT_THAT(first.err, HasSubstr("[10/10]"));
  const Work work = WorkDone();
  EXPECT_EQ(work.done, kCells);
  for (const char* ending : {".md", ".tex", ".csv"}) {
    EXPECT_TRUE(std::filesystem::exists(results_ / "tables" / (std::string("tiny") + ending)));
  }

  const auto start = std::chrono::steady_clock::now();
  const ProgramResult second = Run();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_EQ(second.exit_code, 0);
  EXPECT_EQ(second.out, first.out);
  EXPECT_EQ(second.err, "");
  EXPECT_EQ(WorkDone().stage_attempts, work.stage_attempts);
  EXPECT_EQ(Csv(), ReadFile(results_ / "tables/tiny.csv"));
}

TEST_F(ExperimentRun, AListRunsEachCellOnceAndWritesAllTables) {
  configs_.Experiment("tables", std::string(kYaml) +
                                    "more_tables: {bytes: {title: Bytes, cell: file_bytes}}\n"
                                    "arithmetic: [64]\n");
  file_ = configs_.Experiment("list", "title: Both\nexperiments: [tiny, tables]\n");
  EXPECT_THAT(Run({"--dry-run"}).out, HasSubstr("2 experiments: 20 cells, 10 of them distinct"));
  const ProgramResult first = Run();
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("Bytes\n"));
  for (const char* name : {"tiny.md", "tables.md", "tables-bytes.tex", "tables-bytes.csv"}) {
    EXPECT_TRUE(std::filesystem::exists(results_ / "tables" / name)) << name;
  }
  {
    const ResultsStore store = ResultsStore::Open(Database(), OpenMode::kRead);
    for (const auto& cell : store.CellsOfExperiment(store.FindExperiment("tables", "")->id)) {
      for (const StageRecord& stage : store.StagesOfRun(cell.run.id)) {
        EXPECT_EQ(stage.state.attempt, 1) << stage.name;
      }
    }
  }
  const ProgramResult second = Run();
  EXPECT_EQ(second.out, first.out);
  EXPECT_EQ(second.err, "");
  EXPECT_EQ(CallProgramWith({"table", file_.string(), "--db", Database().string()}).out, first.out);
  const ProgramResult one =
      CallProgramWith({"table", (configs_.folder() / "tables.yaml").string(), "--db",
                       Database().string(), "--name", "bytes", "--format", "csv"});
  EXPECT_EQ(one.out, ReadFile(results_ / "tables/tables-bytes.csv"));
  EXPECT_EQ(Run({"--set", "ratios=[0.3]"}).exit_code, 2);
}

TEST_F(ExperimentRun, TheCostOfACellIsThatOfACompressionFromNothing) {
  file_ = configs_.Experiment("tiny", R"(title: Cost
models: [llama3-mini]
methods: [dense, {use: slicegpt, round_to: 1}, modegpt, {use: svd_llm, ratios: [0.1]}]
ratios: [0.2]
calibration: [tiny-8x64]
cost: cold
table: {cell: total-seconds}
)");
  const ProgramResult run = Run();
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const ResultsStore store = ResultsStore::Open(Database(), OpenMode::kRead);
  for (const ExperimentCell& cell : store.CellsOfExperiment(store.FindExperiment("tiny", "")->id)) {
    std::map<std::string, double> cost;
    for (const MetricRecord& metric : store.MetricsOfRun(cell.run.id)) {
      if (metric.protocol == "cost-cold") cost[metric.metric] = metric.value;
    }
    if (cell.run.method == "dense") {
      EXPECT_TRUE(cost.empty());
      continue;
    }
    double sum = 0;
    for (const char* phase : {"load", "calibrate", "statistics", "plan", "solve", "save"}) {
      const std::string metric = std::string(phase) + "-seconds";
      ASSERT_TRUE(cost.contains(metric)) << cell.run.method << " " << metric;
      sum += cost[metric];
    }
    EXPECT_NEAR(sum, cost["total-seconds"], 1e-9);
    EXPECT_GT(cost["statistics-seconds"], 0);
    EXPECT_GE(cost["peak_bytes"], cost["solve-peak_bytes"]);
    // Nothing of it is left.
    for (const auto& entry : std::filesystem::directory_iterator(results_ / "artefacts")) {
      EXPECT_THAT(entry.path().string(), Not(testing::EndsWith("-again")));
    }
    // Ranks are stored where maps are factored.
    const CellDetail detail = store.DescribeCell(cell.run.fingerprint);
    ASSERT_EQ(detail.layers.size(), 6u);
    EXPECT_GT(detail.layers[0].heads.value_or(0), detail.layers[0].kv_heads.value_or(0));
    EXPECT_EQ(detail.layers[0].ranks != "{}", cell.run.method == "svd_llm");
  }
}

TEST_F(ExperimentRun, GoesOnAfterKillMinusNine) {
  ASSERT_EQ(Run().exit_code, 0);
  const std::string uninterrupted = Csv();
  std::filesystem::remove_all(results_);

  for (const char* moment : {"[2/10]", "[3/"}) {
    Program program(Arguments());
    ASSERT_TRUE(program.WaitFor(moment)) << program.ErrorsSoFar();
    EXPECT_EQ(program.Kill(SIGKILL).exit_code, 128 + SIGKILL);
    EXPECT_THAT(Run({"--dry-run"}).out, Not(HasSubstr("claimed by process")));
  }
  const ProgramResult last = Run();
  ASSERT_EQ(last.exit_code, 0) << last.err;
  EXPECT_EQ(Csv(), uninterrupted);
  // What was finished before the first kill was not repeated.
  EXPECT_THAT(last.err, Not(HasSubstr("llama3-mini dense")));
  const Work work = WorkDone();
  EXPECT_EQ(work.done, kCells);
  EXPECT_LE(work.most_attempts, 3);
}

TEST_F(ExperimentRun, StopsCleanlyWhenInterrupted) {
  Program program(Arguments());
  ASSERT_TRUE(program.WaitFor("[1/10]")) << program.ErrorsSoFar();
  const ProgramResult stopped = program.Kill(SIGINT);
  EXPECT_EQ(stopped.exit_code, 130);
  EXPECT_THAT(stopped.err, HasSubstr("interrupted"));
  {
    const ResultsStore store = ResultsStore::Open(Database(), OpenMode::kRead);
    for (const auto& cell : store.CellsOfExperiment(store.FindExperiment("tiny", "")->id)) {
      EXPECT_NE(cell.run.state.status, WorkStatus::kRunning);
      EXPECT_NE(cell.run.state.status, WorkStatus::kFailed);
    }
  }
  EXPECT_EQ(Run().exit_code, 0);
}

TEST_F(ExperimentRun, TwoProcessesShareTheWork) {
  Program one(Arguments()), two(Arguments());
  const ProgramResult first = one.Wait(), second = two.Wait();
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(first.out, second.out);
  const Work work = WorkDone();
  EXPECT_EQ(work.done, kCells);
  EXPECT_LE(work.most_attempts, 2);
}

TEST_F(ExperimentRun, ALaterProtocolRepeatsNoCompression) {
  ASSERT_EQ(Run().exit_code, 0);
  const std::string two = "perplexity=[tiny-64, tiny-32]",
                    cell = "table.cell={metric: perplexity, protocol: tiny-64}";
  const ProgramResult plan = Run({"--set", two, "--set", cell, "--dry-run"});
  EXPECT_THAT(plan.out, HasSubstr("missing: evaluate tiny-32"));
  EXPECT_THAT(plan.out, HasSubstr("10 cells: 10 run"));
  // One artefact is gone: its compression is made again, but counts as done.
  const auto artefact = *std::filesystem::directory_iterator(results_ / "artefacts");
  std::filesystem::remove_all(artefact.path());
  const ProgramResult more = Run({"--set", two, "--set", cell});
  ASSERT_EQ(more.exit_code, 0) << more.err;
  const ResultsStore store = ResultsStore::Open(Database(), OpenMode::kRead);
  for (const auto& run : store.CellsOfExperiment(store.FindExperiment("tiny", "")->id)) {
    for (const StageRecord& stage : store.StagesOfRun(run.run.id))
      EXPECT_EQ(stage.state.attempt, 1) << stage.name;
  }
}

TEST_F(ExperimentRun, DryRunSaysWhatAndWhy) {
  const ProgramResult before = Run({"--dry-run"});
  EXPECT_EQ(before.exit_code, 0);
  EXPECT_THAT(before.out, HasSubstr("run      llama3-mini slicegpt 0.2"));
  EXPECT_THAT(before.out, HasSubstr("10 cells: 10 run"));
  EXPECT_FALSE(std::filesystem::exists(results_));
  ASSERT_EQ(Run().exit_code, 0);
  EXPECT_THAT(Run({"--dry-run"}).out, HasSubstr("10 cells: 10 done"));
  EXPECT_THAT(Run({"--dry-run", "--rerun", "all"}).out, HasSubstr("--rerun all"));
  EXPECT_THAT(Run({"--dry-run", "--set", "methods[2].round_to=2"}).out,
              HasSubstr("changed: method.options.round_to"));
}

TEST_F(ExperimentRun, AFailedCellIsKeptAndTheSweepGoesOn) {
  // No layer may lose more than 80 percent.
  const std::vector<std::string> failing = {"--set", "methods[1]=modegpt",
                                            "--set", "ratios=[0.2, 0.95]",
                                            "--set", "models=[llama3-mini]"};
  const ProgramResult first = Run(failing);
  EXPECT_EQ(first.exit_code, 1);
  EXPECT_THAT(first.err, HasSubstr("failed"));
  EXPECT_THAT(first.out, HasSubstr("failed"));
  EXPECT_FALSE(std::filesystem::exists(results_ / "tables"));
  const ProgramResult again = Run(failing);
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, Not(HasSubstr("failed (")));
  std::vector<std::string> more = failing;
  more.insert(more.end(), {"--rerun", "failed"});
  EXPECT_THAT(Run(more).err, HasSubstr("failed ("));
  EXPECT_THAT(first.out, HasSubstr("slicegpt"));
  more.back() = "sometimes";
  EXPECT_EQ(Run(more).exit_code, 2);
}

TEST_F(ExperimentRun, FailFastStopsAtTheFirstFailure) {
  const ProgramResult stopped =
      Run({"--set", "methods=[modegpt, shortgpt]", "--set", "ratios=[0.95]", "--set",
           "models=[llama3-mini]", "--fail-fast"});
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_THAT(stopped.err, HasSubstr("[1/2]"));
  EXPECT_THAT(stopped.err, Not(HasSubstr("[2/2]")));
}

TEST_F(ExperimentRun, RefusesToCalibrateOnTheEvaluatedText) {
  WriteText(configs_.folder() / "configs/calibration/tiny-same.yaml",
            "corpus: bundled-articles\nsplit: evaluation\nsampler: random-windows-nn\nsamples: 32\n"
            "length: 256\nseed: 0\njoin: \"\\n\\n\"\n");
  const std::vector<std::string> same = {
      "--set", "calibration=[tiny-same]", "--set", "models=[llama3-mini]",
      "--set", "methods=[shortgpt]",      "--set", "ratios=[0.2]",
      "--set", "perplexity=[bundled-256]"};
  WriteText(configs_.folder() / "configs/protocols/bundled-256.yaml",
            ReadFile(SourceFolder() / "configs/protocols/bundled-256.yaml"));
  const ProgramResult refused = Run(same);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("failed (data)"));
  std::vector<std::string> allowed = same;
  allowed.insert(allowed.end(), {"--set", "allow_overlap=true", "--rerun", "failed"});
  const ProgramResult accepted = Run(allowed);
  EXPECT_EQ(accepted.exit_code, 0) << accepted.err;
  EXPECT_THAT(accepted.out, HasSubstr("may overlap"));
}

TEST_F(ExperimentRun, RerunAllComputesEverythingAgain) {
  ASSERT_EQ(Run({"--set", "models=[llama3-mini]"}).exit_code, 0);
  const int before = WorkDone().stage_attempts;
  ASSERT_EQ(Run({"--set", "models=[llama3-mini]", "--rerun", "all"}).exit_code, 0);
  EXPECT_EQ(WorkDone().stage_attempts, 2 * before);
}

TEST_F(ExperimentRun, ShowTracesACell) {
  ASSERT_EQ(Run({"--set", "models=[llama3-mini]"}).exit_code, 0);
  std::string fingerprint;
  {
    const ResultsStore store = ResultsStore::Open(Database(), OpenMode::kRead);
    fingerprint =
        store.CellsOfExperiment(store.FindExperiment("tiny", "")->id).back().run.fingerprint;
  }
  const ProgramResult shown =
      RunProgramWith({"show", fingerprint.substr(0, 10), "--db", Database().string()});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  for (const char* what : {"slicegpt", "commit", "model.safetensors", "perplexity", "block-params",
                           "artefacts/", "tiny.yaml:3", "LibTorch"}) {
    EXPECT_THAT(shown.out, HasSubstr(what));
  }
  EXPECT_EQ(RunProgramWith({"show", "ffffffffffff", "--db", Database().string()}).exit_code, 2);
}

TEST_F(ExperimentRun, TableNeedsTheDatabaseAlone) {
  const std::vector<std::string> table = {"table", file_.string(), "--db", Database().string()};
  const ProgramResult none = RunProgramWith(table);
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_THAT(none.err, HasSubstr("run an experiment first"));
  ASSERT_EQ(Run({"--set", "models=[llama3-mini]"}).exit_code, 0);
  const ProgramResult changed = RunProgramWith(table);
  EXPECT_EQ(changed.exit_code, 0);
  EXPECT_THAT(changed.err, HasSubstr("has changed since it was run"));
  std::vector<std::string> wrong = table;
  wrong.insert(wrong.end(), {"--format", "pdf"});
  EXPECT_EQ(RunProgramWith(wrong).exit_code, 2);
}

TEST_F(ExperimentRun, StatisticsAverageOverDraws) {
  const std::vector<std::string> draws = {"--set", "seeds=[0, 1]"};
  ASSERT_EQ(Run(draws).exit_code, 0);
  const auto stats = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = Arguments({"--csv", "--metric", "perplexity"});
    arguments.insert(arguments.begin(), "stats");
    arguments.insert(arguments.end(), draws.begin(), draws.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = CallProgramWith(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return CsvTable(result.out, "csv");
  };
  const auto is_sliced = [](const CsvTable& csv, size_t row) {
    return csv.Field(row, "model") == "opt-mini" && csv.Field(row, "method") == "slicegpt" &&
           csv.Field(row, "ratio") == "0.3" && csv.Field(row, "against") == "dense";
  };
  const CsvTable each = stats({}), averages = stats({"--average", "seed"});
  double loss = 0, difference = 0;
  int seen = 0;
  for (size_t r = 0; r < each.size(); ++r) {
    if (!is_sliced(each, r)) continue;
    loss += std::log(std::stod(each.Field(r, "value"))) / 2;
    difference += std::stod(each.Field(r, "difference")) / 2;
    ++seen;
  }
  ASSERT_EQ(seen, 2);
  ASSERT_EQ(averages.size(), kCells);  // one for each model, method and ratio
  seen = 0;
  for (size_t r = 0; r < averages.size(); ++r) {
    if (!is_sliced(averages, r)) continue;
    EXPECT_EQ(averages.Field(r, "seed"), "mean of 2");
    EXPECT_NEAR(std::stod(averages.Field(r, "value")), std::exp(loss), 1e-9 * std::exp(loss));
    EXPECT_NEAR(std::stod(averages.Field(r, "difference")), difference, 1e-12);
    ++seen;
  }
  EXPECT_EQ(seen, 1);
}

TEST_F(ExperimentRun, RefusesWhatWouldFailLater) {
  EXPECT_EQ(Run({"--set", "perplexity=[tiny-2000]"}).exit_code, 2);
  EXPECT_THAT(Run({"--set", "perplexity=[tiny-2000]"}).err, HasSubstr("windows of 2000 tokens"));
  const ProgramResult missing = Run({"--set", "models=[llama3-mini, llama-2-7b]"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.err, HasSubstr("Llama-2-7b-hf/"));

  std::filesystem::copy(BundledModel("llama3-mini"), configs_.folder() / "broken");
  std::filesystem::permissions(configs_.folder() / "broken/model.safetensors",
                               std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  std::filesystem::resize_file(configs_.folder() / "broken/model.safetensors", 5000000);
  const ProgramResult broken = Run(
      {"--set", "models=[{name: broken, path: " + (configs_.folder() / "broken").string() + "}]"});
  EXPECT_EQ(broken.exit_code, 3);
  EXPECT_THAT(broken.err, HasSubstr("model.safetensors"));
}

TEST_F(ExperimentRun, RefusesADatabaseItCannotUse) {
  WriteText(configs_.folder() / "file", "x");
  const auto with = [&](const std::filesystem::path& database) {
    return RunProgramWith({file_.string(), "--db", database.string()});
  };
  EXPECT_EQ(with(configs_.folder() / "file" / "results.sqlite").exit_code, 3);
  EXPECT_EQ(with(configs_.folder() / "file").exit_code, 3);

  ASSERT_EQ(Run({"--set", "models=[llama3-mini]", "--set", "methods=[dense]"}).exit_code, 0);
  std::fstream database(Database(), std::ios::in | std::ios::out | std::ios::binary);
  database.seekp(60);  // user_version, big-endian
  database.write("\0\0\1\0", 4);
  database.close();
  const ProgramResult newer = Run();
  EXPECT_EQ(newer.exit_code, 3);
  EXPECT_THAT(newer.err, HasSubstr("version 256"));
}

TEST_F(ExperimentRun, AFullDiskLosesNothingThatWasFinished) {
  ASSERT_EQ(Run({"--set", "methods=[dense]"}).exit_code, 0);
  // No file may grow beyond a size that the database fits into and a model does not.
  const auto small_files = [] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  };
  Program program(Arguments(), {.before = small_files});
  const ProgramResult full = program.Wait();
  EXPECT_EQ(full.exit_code, 1) << full.err;
  EXPECT_THAT(full.err, HasSubstr("File too large"));
  EXPECT_EQ(Run({"--rerun", "failed"}).exit_code, 0);
  EXPECT_EQ(WorkDone().done, kCells);
}

class FigureRun : public testing::Test {
 protected:
  ProgramResult Run(const std::string& experiment, std::vector<std::string> more = {}) const {
    const auto file = configs_.Experiment(
        "drawn",
        "title: Drawn\nmodels: [llama3-mini]\nmethods: [dense, shortgpt, {use: modegpt, allocator: "
        "uniform}]\nratios: [0.2, 0.4]\ncalibration: [tiny-8x64]\nperplexity: [tiny-64]\n" +
            experiment);
    more.insert(more.begin(), {file.string(), "--db", (results_ / "results.sqlite").string()});
    return CallProgramWith(more);
  }
  ProgramResult Draw(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"figure", (configs_.folder() / "drawn.yaml").string(),
                                          "--db", (results_ / "results.sqlite").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return CallProgramWith(arguments);
  }

  TinyConfigs configs_;
  std::filesystem::path results_ = configs_.folder() / "results";
};

TEST_F(FigureRun, DrawsTheFigureInsteadOfATableAndAgainFromTheDatabase) {
  if (std::system("gnuplot --version >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "gnuplot is not installed";
  }
  const ProgramResult run = Run("figure: {x: block-params, y: perplexity}\n");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_FALSE(std::filesystem::exists(results_ / "tables"));
  const std::filesystem::path figures = results_ / "figures";
  EXPECT_THAT(ReadFile(figures / "drawn.svg"), testing::StartsWith("<?xml"));
  EXPECT_THAT(ReadFile(figures / "drawn.pdf"), testing::StartsWith("%PDF"));
  const std::string csv = ReadFile(figures / "drawn.csv");
  EXPECT_THAT(csv, HasSubstr("model,method,ratio,block-params,perplexity,"));
  EXPECT_THAT(csv, HasSubstr("\nllama3-mini,shortgpt,0.4,"));

  EXPECT_EQ(Draw({"--format", "csv"}).out, csv);
  EXPECT_THAT(Draw({"--format", "gnuplot"}).out, HasSubstr("set terminal pdfcairo"));
  ASSERT_EQ(Draw({"--out", (results_ / "again").string()}).exit_code, 0);
  for (const char* file : {"drawn.svg", "drawn.pdf", "drawn.csv"}) {
    EXPECT_EQ(ReadFile(results_ / "again" / file), ReadFile(figures / file)) << file;
  }
  const ProgramResult table = CallProgramWith({"table", (configs_.folder() / "drawn.yaml").string(),
                                               "--db", (results_ / "results.sqlite").string()});
  EXPECT_EQ(table.exit_code, 2);
  EXPECT_THAT(table.err, HasSubstr("has no table; runner figure draws its figure"));
}

TEST_F(FigureRun, SaysThatAChangedExperimentIsNotDrawnUnasked) {
  const ProgramResult run =
      Run("figure: {x: block-params, y: perplexity}\n", {"--set", "ratios=[0.2]"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("no figure was drawn"));
  EXPECT_FALSE(std::filesystem::exists(results_ / "figures"));
}

// ShortGPT takes whole blocks; MoDeGPT with a uniform allocation the same fraction of each.
TEST_F(FigureRun, DrawsWhatIsKeptOfEachModuleOfEachLayer) {
  const ProgramResult run =
      Run("figure: {x: layer, y: kept-params, series: [method, ratio], panels: [module]}\n");
  const CsvTable csv(Draw({"--format", "csv"}).out, "drawn.csv");
  ASSERT_EQ(csv.size(), 2u * 2 * 3 * 6) << run.err;
  for (size_t i = 0; i < csv.size(); ++i) {
    const double kept = std::stod(csv.Field(i, "kept-params"));
    if (csv.Field(i, "method") == "shortgpt") {
      EXPECT_TRUE(kept == 0 || kept == 1) << kept;
    } else {
      EXPECT_NEAR(kept, 1 - std::stod(csv.Field(i, "ratio")), 0.07);
    }
  }
}

}  // namespace
}  // namespace condense
