// runner stats: intervals, flags and paired comparisons from the scores in the database.
#include <algorithm>
#include <iostream>

#include "base/error.h"
#include "base/strings.h"
#include "experiment/tables.h"
#include "report/measurements.h"
#include "report/statistics/statistics.h"
#include "runner/command.h"

namespace condense {
namespace {

std::vector<Option> Options() {
  return {
      ExperimentOption(),
      ProfileOption(),
      StoredSetOption(),
      TextsOption("cell", "FINGERPRINT",
                  "only this cell; its first characters are enough (may be repeated). Without an "
                  "experiment, one cell is compared with its dense model, several with the first"),
      TextOption("baseline", "METHOD",
                 "compare with this method too, at the same model, ratio, calibration set and seed",
                 {.listed = {"methods"}}),
      TextsOption(
          "average", "KEY,...",
          "average the scores of documents and windows over seed, calibration, ratio, model "
          "or dtype, and compare the averages",
          {.words = {"seed", "calibration", "ratio", "model", "dtype"}, .several = true}),
      TextsOption("protocol", "ID,...", "only these protocols",
                  {.listed = {"protocols"}, .several = true}),
      TextsOption("tasks", "NAME,...", "only these tasks", {.listed = {"tasks"}, .several = true}),
      TextsOption("metric", "NAME,...",
                  "only these metrics and means (default: acc_norm, or acc for a task without it)"),
      Flag("json", "print one line of JSON"),
      Flag("csv", "print CSV: one line per comparison, all digits"),
  };
}

std::vector<std::string> ListOf(const Arguments& arguments, const char* option) {
  std::vector<std::string> names;
  for (const std::string& text : arguments.Texts(option)) {
    for (const std::string& name : Split(text, ',')) names.emplace_back(Trim(name));
  }
  return names;
}

struct Selection {
  std::vector<Measurement> measurements;
  std::string reference;
};

// The cells of an experiment, or of the one that a single cell belongs to, or those that were
// named.
Selection Select(const Arguments& arguments, const ResultsStore& store,
                 const std::vector<CellDetail>& cells) {
  if (arguments.Has("experiment")) {
    const ExperimentSpec spec =
        ReadExperiment({.file = FindExperimentFile(arguments.Text("experiment")),
                        .profile = arguments.TextOr("profile", ""),
                        .overrides = arguments.Texts("set")});
    return {ExperimentMeasurements(spec, store, StoredExperiment(spec, store).id), ""};
  }
  if (cells.size() == 1 && !cells[0].experiments.empty()) {
    return {MeasurementsOf(store, cells[0].experiments.back().experiment.id), ""};
  }
  Selection selection{{}, cells[0].run.fingerprint};
  for (const CellDetail& cell : cells) {
    const std::string label = cell.experiments.empty() ? "" : cell.experiments.back().label;
    selection.measurements.push_back(MeasurementOf(store, {cell.run, label}));
  }
  return selection;
}

int Run(const Arguments& arguments) {
  if (arguments.Flag("json") && arguments.Flag("csv")) {
    throw ConfigError("give one of --json and --csv");
  }
  if (!arguments.Has("experiment") && !arguments.Has("cell")) {
    throw ConfigError("name an experiment, or cells with --cell; --help says more");
  }
  if (arguments.Has("average") && arguments.Has("cell")) {
    throw ConfigError("--average takes the cells of an experiment; leave out --cell");
  }
  const ResultsStore store = ResultsStore::Open(arguments.Database(), OpenMode::kRead);
  std::vector<CellDetail> cells;
  for (const std::string& prefix : ListOf(arguments, "cell")) {
    cells.push_back(store.DescribeCell(prefix));
  }
  const Selection selection = Select(arguments, store, cells);
  StatisticsOptions options{.protocols = ListOf(arguments, "protocol"),
                            .tasks = ListOf(arguments, "tasks"),
                            .metrics = ListOf(arguments, "metric"),
                            .baseline = arguments.TextOr("baseline", ""),
                            .reference = selection.reference,
                            .average = ListOf(arguments, "average")};
  for (const CellDetail& cell : cells) {
    const std::string& id = cell.run.fingerprint;
    const bool known = std::any_of(selection.measurements.begin(), selection.measurements.end(),
                                   [&](const Measurement& m) { return m.id == id; });
    if (!known) throw MakeError<ConfigError>("--cell {}: not a cell of the experiment", id);
    options.cells.push_back(id);
  }
  StoredScores scores(store);
  const std::vector<CellStatistics> statistics =
      ComputeStatistics(selection.measurements, scores, options);
  std::cout << (arguments.Flag("json")  ? StatisticsToJson(statistics)
                : arguments.Flag("csv") ? StatisticsToCsv(statistics)
                                        : StatisticsToText(statistics));
  return 0;
}

}  // namespace

Command StatsCommand() {
  return {
      .name = "stats",
      .summary = "print intervals, tests and flags from the stored scores",
      .usage = "runner stats EXPERIMENT.yaml [--baseline METHOD] | runner stats --cell FINGERPRINT",
      .details =
          "Computes no cell. For each cell and task: value, standard error, Wilson interval and\n"
          "flags. Compared with the dense model and the baseline: paired difference with its\n"
          "bootstrap interval, and McNemar's exact test with Holm's correction. Intervals of means\n"
          "and averages are bootstrapped, those of perplexity and agreement by a block bootstrap\n"
          "over windows.",
      .example = "runner stats experiments/table2.yaml --baseline slicegpt",
      .options = Options(),
      .positional = {"experiment"},
      .run = Run};
}

}  // namespace condense
