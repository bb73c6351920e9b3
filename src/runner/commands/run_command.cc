// runner EXPERIMENT.yaml: plan, run what is missing, store, print the table, draw the figure.
#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "experiment/figures.h"
#include "experiment/run/sweep.h"
#include "experiment/spec/experiment_list.h"
#include "experiment/tables.h"
#include "report/tables/render.h"
#include "runner/command.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

std::vector<Option> Options() {
  return {
      ExperimentOption(),
      ProfileOption(),
      TextsOption(
          "set", "KEY=VALUE",
          "change a value of the experiment, such as ratios=[0.2] or methods[1].match=total "
          "(may be repeated)"),
      Flag("dry-run", "print what would be computed, and why; compute nothing"),
      ChoiceOption("rerun", "WHICH", {"failed", "all"},
                   "compute again the cells that failed, or all cells"),
      Flag("fail-fast", "stop at the first cell that fails"),
      TextOption("tables", "DIR",
                 "folder for the tables as .md, .tex and .csv (default: tables/ beside the "
                 "database; a changed experiment or another profile has no default)",
                 {.folders = true}),
      TextOption("figures", "DIR",
                 "folder for the figure as .svg, .pdf and .csv (default: figures/ beside the "
                 "database; a changed experiment or another profile has no default)",
                 {.folders = true}),
  };
}

Rerun RerunOf(const Arguments& arguments) {
  const auto which = arguments.OptionalText("rerun");
  if (!which) return Rerun::kNothing;
  return *which == "failed" ? Rerun::kFailed : Rerun::kAll;
}

void RequireInputs(const ExperimentPlan& plan) {
  if (plan.missing.empty()) return;
  std::string text = plan.missing.front();
  for (size_t i = 1; i < plan.missing.size(); ++i) text += "\n" + plan.missing[i];
  throw ConfigError(text + "\nnothing was run; name the folders with --models DIR and --data DIR");
}

// Where artefacts, caches and tables go: beside the database.
fs::path ResultsFolder(const ResultsStore& store) {
  const fs::path folder = store.path().parent_path();
  return folder.empty() ? "." : folder;
}

// Where tables or figures are written. Only the unchanged bundled profile has a default folder.
struct ReportPlace {
  fs::path folder;
  std::string name;
};

std::optional<ReportPlace> PlaceOf(const Arguments& arguments, const ExperimentSpec& spec,
                                   const ResultsStore& store, const std::string& kind) {
  const bool ordinary = (spec.profile.empty() || spec.profile == "bundled") && !spec.overridden;
  const auto named = arguments.OptionalText(kind);
  if (!named && !ordinary) return std::nullopt;
  return ReportPlace{named ? fs::path(*named) : ResultsFolder(store) / kind,
                     ordinary ? spec.name : fmt::format("{}-{}", spec.name, spec.profile)};
}

void PrintTables(const Arguments& arguments, const ExperimentSpec& spec, const ResultsStore& store,
                 int64_t experiment, bool complete) {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  const std::vector<NamedTable> tables = ExperimentTablesOf(spec, store, experiment);
  for (size_t i = 0; i < tables.size(); ++i) {
    if (tables[i].published) continue;
    std::cout << (i == 0 ? "" : "\n")
              << ToText(tables[i].table, terminal ? TextStyle::kTerminal : TextStyle::kPlain)
              << std::flush;
  }
  const auto place = PlaceOf(arguments, spec, store, "tables");
  if (!place) return;
  if (!complete) {
    LogWarning("the table has gaps, so the files {}.* were not written",
               (place->folder / spec.name).string());
    return;
  }
  for (const NamedTable& table : tables) {
    WriteTables(table.table, place->folder, table.FileName(place->name));
  }
}

void DrawFigure(const Arguments& arguments, const ExperimentSpec& spec, const ResultsStore& store,
                int64_t experiment, bool complete) {
  const auto place = PlaceOf(arguments, spec, store, "figures");
  if (!place) {
    LogInfo(
        "no figure was drawn: a changed experiment, or a profile other than bundled, needs "
        "--figures DIR");
    return;
  }
  if (!complete) {
    LogWarning("the figure has gaps, so the files {}.* were not written",
               (place->folder / spec.name).string());
    return;
  }
  WriteExperimentFigure(ExperimentFigureOf(spec, store, experiment), place->folder, place->name);
}

// The plans of all experiments, so that everything missing is known before anything runs.
std::vector<ExperimentPlan> PlanAll(const std::vector<ExperimentSpec>& specs,
                                    InputResolver& inputs) {
  std::vector<ExperimentPlan> plans;
  for (const ExperimentSpec& spec : specs) plans.push_back(PlanExperiment(spec, inputs));
  return plans;
}

int DryRun(const Arguments& arguments, const std::vector<ExperimentSpec>& specs) {
  std::optional<ResultsStore> store;
  if (fs::exists(arguments.Database())) {
    store.emplace(ResultsStore::Open(arguments.Database(), OpenMode::kRead));
  }
  InputResolver inputs({arguments.ModelRoots(), arguments.Data()}, Sha256File);
  const std::vector<ExperimentPlan> plans = PlanAll(specs, inputs);
  std::set<std::string> cells;
  size_t listed = 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    std::cout << PlanText(
        specs[i], plans[i],
        StatusOf(specs[i], plans[i], store ? &*store : nullptr, RerunOf(arguments)));
    listed += plans[i].cells.size();
    for (const PlannedCell& cell : plans[i].cells) cells.insert(cell.canonical);
  }
  if (specs.size() > 1) {
    std::cout << fmt::format("{} experiments: {} cells, {} of them distinct\n", specs.size(),
                             listed, cells.size());
  }
  RequireInputs(plans.back());
  return 0;
}

// The number of cells that failed.
int RunOne(const Arguments& arguments, const ExperimentSpec& spec, const ExperimentPlan& plan,
           InputResolver& inputs, ResultsStore& store, const SweepOptions& options) {
  const int64_t experiment = RegisterPlan(spec, plan, store);
  const SweepOutcome outcome = RunSweep(spec, plan, inputs, store, options);
  if (spec.has_table) PrintTables(arguments, spec, store, experiment, outcome.failed == 0);
  if (spec.figure) DrawFigure(arguments, spec, store, experiment, outcome.failed == 0);
  if (outcome.failed > 0) {
    LogWarning("{} of {} cells failed; --rerun failed tries them again", outcome.failed,
               plan.cells.size());
  }
  return outcome.failed;
}

int Run(const Arguments& arguments) {
  const std::vector<ExperimentSpec> specs =
      ReadExperiments({.file = FindExperimentFile(arguments.Text("experiment")),
                       .profile = arguments.TextOr("profile", ""),
                       .overrides = arguments.Texts("set")});
  std::set<std::string> repeated;
  SweepOptions options{.device = arguments.DeviceName(),
                       .threads = arguments.Threads(),
                       .rerun = RerunOf(arguments),
                       .fail_fast = arguments.Flag("fail-fast"),
                       .repeated = &repeated};
  if (arguments.Flag("dry-run")) return DryRun(arguments, specs);

  ResultsStore store = ResultsStore::Open(arguments.Database(), OpenMode::kWrite);
  options.results = ResultsFolder(store);
  InputResolver inputs({arguments.ModelRoots(), arguments.Data()},
                       [&](const fs::path& file) { return store.FileDigest(file); });
  const std::vector<ExperimentPlan> plans = PlanAll(specs, inputs);
  RequireInputs(plans.back());
  int failed = 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (i > 0) std::cout << "\n";
    failed += RunOne(arguments, specs[i], plans[i], inputs, store, options);
    if (failed > 0 && options.fail_fast) break;
  }
  return failed > 0 ? 1 : 0;
}

}  // namespace

Command RunCommand() {
  return {
      .name = "run",
      .summary = "run an experiment, print its tables and draw its figure",
      .usage = "runner EXPERIMENT.yaml [options]",
      .details =
          "Computes the cells of the experiment that the database does not hold yet, and stores each\n"
          "as soon as it is finished. Then it prints the tables and draws the figure. It can be\n"
          "stopped at any time; the next run resumes where it stopped. A file that lists\n"
          "experiments, such as experiments/all.yaml, runs them one after the other. `run` itself\n"
          "may be left out.",
      .example = "runner experiments/table1.yaml --set ratios=[0.2,0.4]",
      .options = Options(),
      .positional = {"experiment"},
      .run = Run};
}

}  // namespace condense
