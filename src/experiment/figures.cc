#include "experiment/figures.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "config/paths.h"
#include "report/figures/figure_gnuplot.h"
#include "report/statistics/stored_scores.h"

namespace condense {

Figure ExperimentFigureOf(const ExperimentSpec& spec, const ResultsStore& store,
                          int64_t experiment) {
  if (!spec.figure) {
    throw MakeError<ConfigError>("{}: has no figure; runner table prints its table",
                                 spec.file.string());
  }
  FigureSpec layout = *spec.figure;
  layout.labels.merge(ModelTitles(spec));
  layout.styles = ReadFigureStyles(ConfigFolder() / "figure_styles.yaml");
  StoredScores scores(store);
  return BuildFigure(layout, ExperimentMeasurements(spec, store, experiment), &scores);
}

void WriteExperimentFigure(const Figure& figure, const std::filesystem::path& folder,
                           const std::string& name) {
  constexpr size_t kMost = 5;
  for (size_t i = 0; i < std::min(kMost, figure.gaps.size()); ++i) {
    LogWarning("not drawn: {}", figure.gaps[i]);
  }
  if (figure.gaps.size() > kMost) LogWarning("and {} more", figure.gaps.size() - kMost);
  WriteFigure(figure, folder, name);
  LogInfo("wrote {} as .svg, .pdf and .csv", (folder / name).string());
}

}  // namespace condense
