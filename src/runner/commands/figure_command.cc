// runner figure: the figure of an experiment from the database alone.
#include <iostream>

#include "base/error.h"
#include "experiment/figures.h"
#include "report/figures/figure_render.h"
#include "report/figures/figure_text.h"
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
          "a change that the experiment was run with; values under figure may differ (may be "
          "repeated)"),
      ChoiceOption(
          "format", "FORMAT", {"files", "text", "csv", "gnuplot"},
          "files (default): write them; text, csv or gnuplot: print the figure as text, its "
          "numbers, or the gnuplot script"),
      TextOption("out", "DIR", "folder of the files (default: figures/ beside the database)",
                 {.folders = true}),
  };
}

int Run(const Arguments& arguments) {
  const std::string format = arguments.TextOr("format", "files");
  const ExperimentSpec spec =
      ReadExperiment({.file = FindExperimentFile(arguments.Text("experiment")),
                      .profile = arguments.TextOr("profile", ""),
                      .overrides = arguments.Texts("set")});
  const ResultsStore store = ResultsStore::Open(arguments.Database(), OpenMode::kRead);
  const Figure figure = ExperimentFigureOf(spec, store, StoredExperiment(spec, store).id);
  const bool bundled = spec.profile.empty() || spec.profile == "bundled";
  const std::string name = bundled ? spec.name : spec.name + "-" + spec.profile;
  if (format == "text") {
    std::cout << FigureText(figure);
  } else if (format == "csv") {
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

Command FigureCommand() {
  return {
      .name = "figure",
      .summary = "draw the figure of an experiment from the database",
      .usage = "runner figure EXPERIMENT.yaml [--out DIR] [--format files|text|csv|gnuplot]",
      .details =
          "Computes nothing. Writes NAME.svg, NAME.pdf and NAME.csv; the CSV file holds the numbers\n"
          "that are drawn. With --format text, csv or gnuplot it prints instead. Cells that failed or\n"
          "were not run are left out and named.",
      .example = "runner figure experiments/figure1.yaml --format text",
      .options = Options(),
      .positional = {"experiment"},
      .run = Run};
}

}  // namespace condense
