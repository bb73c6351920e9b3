// runner figure: the figure of an experiment from the database alone.
#include <iostream>

#include "base/error.h"
#include "experiment/figures.h"
#include "report/figures/figure_render.h"
#include "runner/command.h"

namespace condense {
namespace {

namespace po = boost::program_options;
namespace fs = std::filesystem;

void AddOptions(po::options_description& options) {
  auto add = options.add_options();
  add("experiment", po::value<std::string>()->value_name("FILE"),
      "the experiment (needs no --experiment)");
  add("profile", po::value<std::string>()->value_name("NAME"),
      "profile of the experiment (default: bundled)");
  add("set", po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
      "as it was run with; what stands under figure may be changed");
  add("format", po::value<std::string>()->value_name("FORMAT"),
      "files (default), or what would be in them on standard output: csv or gnuplot");
  add("out", po::value<std::string>()->value_name("DIR"),
      "where the files go (default: figures/ beside the database)");
}

int Run(const Arguments& arguments) {
  const std::string format = arguments.TextOr("format", "files");
  if (format != "files" && format != "csv" && format != "gnuplot") {
    throw MakeError<ConfigError>("--format {}: expected files, csv or gnuplot", format);
  }
  const ExperimentSpec spec =
      ReadExperiment({.file = FindExperimentFile(arguments.Text("experiment")),
                      .profile = arguments.TextOr("profile", ""),
                      .overrides = arguments.Texts("set")});
  const ResultsStore store = ResultsStore::Open(arguments.Database(), OpenMode::kRead);
  const Figure figure = ExperimentFigureOf(spec, store, StoredExperiment(spec, store).id);
  const bool bundled = spec.profile.empty() || spec.profile == "bundled";
  const std::string name = bundled ? spec.name : spec.name + "-" + spec.profile;
  if (format == "csv") {
    std::cout << FigureCsv(figure);
  } else if (format == "gnuplot") {
    std::cout << GnuplotScript(figure, name);
  } else {
    const fs::path beside = store.path().parent_path() / "figures";
    WriteExperimentFigure(figure, arguments.TextOr("out", beside.string()), name);
  }
  return 0;
}

}  // namespace

const Command kFigureCommand{
    .name = "figure",
    .summary = "draw the figure of an experiment from the database",
    .usage = "runner figure EXPERIMENT.yaml [--out DIR] [--format files|csv|gnuplot]",
    .details =
        "Runs nothing. Writes NAME.svg, NAME.pdf and NAME.csv, the numbers that are drawn.\n"
        "Cells that were not run or failed are named and left out.",
    .example = "runner figure experiments/figure1.yaml --out figures",
    .add_options = AddOptions,
    .positional = {"experiment"},
    .run = Run};

}  // namespace condense
