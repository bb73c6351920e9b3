// runner table: the table of an experiment from the database alone.
#include <iostream>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "experiment/tables.h"
#include "report/render.h"
#include "runner/command.h"

namespace condense {
namespace {

namespace po = boost::program_options;

void AddOptions(po::options_description& options) {
  auto add = options.add_options();
  add("experiment", po::value<std::string>()->value_name("FILE"),
      "the experiment (needs no --experiment)");
  add("profile", po::value<std::string>()->value_name("NAME"),
      "profile of the experiment (default: bundled)");
  add("set", po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
      "as it was run with");
  add("format", po::value<std::string>()->value_name("FORMAT"), "md, tex, csv or text (default)");
}

std::string Shown(const Table& table, const std::string& format) {
  if (format == "md") return ToMarkdown(table);
  if (format == "tex") return ToLatex(table);
  if (format == "csv") return ToCsv(table);
  return ToText(table, TextStyle::kPlain);
}

int Run(const Arguments& arguments) {
  const std::string format = arguments.TextOr("format", "text");
  const std::vector<std::string> known = {"text", "md", "tex", "csv"};
  if (std::find(known.begin(), known.end(), format) == known.end()) {
    throw MakeError<ConfigError>("--format {}: expected {}", format, Join(known, ", "));
  }
  const ExperimentSpec spec =
      ReadExperiment({.file = FindExperimentFile(arguments.Text("experiment")),
                      .profile = arguments.TextOr("profile", ""),
                      .overrides = arguments.Texts("set")});
  if (!spec.has_table) {
    throw MakeError<ConfigError>("{}: has no table; runner figure draws its figure",
                                 spec.file.string());
  }
  const ResultsStore store = ResultsStore::Open(arguments.Database(), OpenMode::kRead);
  const int64_t experiment = StoredExperiment(spec, store).id;
  std::cout << Shown(ExperimentTableOf(spec, store, experiment), format);
  const auto published = PublishedTableOf(spec, store, experiment);
  if (published && format == "csv") {
    LogWarning("published values have no place in this CSV; --format md, tex and text show them");
  } else if (published) {
    std::cout << "\n" << Shown(*published, format);
  }
  return 0;
}

}  // namespace

const Command kTableCommand{
    .name = "table",
    .summary = "print the table of an experiment from the database",
    .usage = "runner table EXPERIMENT.yaml [--format md|tex|csv|text]",
    .details = "Runs nothing. Cells that were not run or failed show as gaps.",
    .example = "runner table experiments/table1.yaml --format md",
    .add_options = AddOptions,
    .positional = {"experiment"},
    .run = Run};

}  // namespace condense
