// runner stats: intervals, flags and paired comparisons from the scores in the database.
#include <algorithm>
#include <iostream>

#include "base/error.h"
#include "base/strings.h"
#include "experiment/tables.h"
#include "report/measurements.h"
#include "report/statistics/averaged_statistics.h"
#include "report/statistics/statistics.h"
#include "runner/command.h"

namespace condense {
namespace {

namespace po = boost::program_options;

void AddOptions(po::options_description& options) {
  const auto list = [](const char* name) {
    return po::value<std::vector<std::string>>()->composing()->value_name(name);
  };
  auto add = options.add_options();
  add("experiment", po::value<std::string>()->value_name("FILE"),
      "the experiment (needs no --experiment)");
  add("profile", po::value<std::string>()->value_name("NAME"),
      "profile of the experiment (default: bundled)");
  add("set", list("KEY=VALUE"), "as it was run with");
  add("cell", list("FINGERPRINT"),
      "only this cell (its first characters suffice; may be repeated); without an experiment: "
      "this cell against its dense model, or the later ones against the first");
  add("baseline", po::value<std::string>()->value_name("METHOD"),
      "also compare with this method at the same model, ratio, calibration and seed");
  add("average", list("KEY,..."),
      "average what documents and windows say over seed, calibration, ratio, model or dtype, and "
      "compare the averages");
  add("protocol", list("ID,..."), "only these protocols");
  add("tasks", list("NAME,..."), "only these tasks");
  add("metric", list("NAME,..."),
      "only these metrics and means (default: acc_norm, or acc where a task has no other)");
  add("json", po::bool_switch(), "one JSON line");
  add("csv", po::bool_switch(), "CSV, a line for each comparison, every digit");
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
                            .reference = selection.reference};
  for (const CellDetail& cell : cells) {
    const std::string& id = cell.run.fingerprint;
    const bool known = std::any_of(selection.measurements.begin(), selection.measurements.end(),
                                   [&](const Measurement& m) { return m.id == id; });
    if (!known) throw MakeError<ConfigError>("--cell {}: is no cell of the experiment", id);
    options.cells.push_back(id);
  }
  StoredScores scores(store);
  AveragedStatistics averaged;
  std::vector<CellStatistics> statistics;
  if (arguments.Has("average")) {
    averaged = ComputeAveragedStatistics(selection.measurements, scores, options,
                                         ListOf(arguments, "average"));
    statistics = averaged.statistics;
  } else {
    statistics = ComputeStatistics(selection.measurements, scores, options);
  }
  std::cout << (arguments.Flag("json")  ? StatisticsToJson(statistics)
                : arguments.Flag("csv") ? StatisticsToCsv(statistics)
                                        : StatisticsToText(statistics));
  return 0;
}

}  // namespace

const Command kStatsCommand{
    .name = "stats",
    .summary = "intervals, tests and flags from the stored scores",
    .usage = "runner stats EXPERIMENT.yaml [--baseline METHOD] | runner stats --cell FINGERPRINT",
    .details =
        "Runs nothing. For each cell and task: value, standard error, Wilson's interval, flags; "
        "against the\n"
        "dense model, and a baseline: paired difference with its bootstrap interval, McNemar's "
        "exact test,\n"
        "Holm's correction. Means and averages: bootstrap. Perplexity, agreement: block bootstrap "
        "over windows.",
    .example = "runner stats experiments/table2.yaml --baseline slicegpt",
    .add_options = AddOptions,
    .positional = {"experiment"},
    .run = Run};

}  // namespace condense
