// The figure of an experiment, from the database alone.
#pragma once

#include "experiment/tables.h"
#include "report/figures/figure.h"

namespace condense {

// ConfigError if the experiment has no figure, or nothing of it was measured.
Figure ExperimentFigureOf(const ExperimentSpec& spec, const ResultsStore& store,
                          int64_t experiment);

// WriteFigure() of report/figures/figure_gnuplot.h, with what could not be drawn as warnings and the files
// as a message.
void WriteExperimentFigure(const Figure& figure, const std::filesystem::path& folder,
                           const std::string& name);

}  // namespace condense
