// Figures as files. gnuplot runs as a separate process in an empty folder, without the user's
// settings. Dates are removed from its output, so that the same numbers give the same bytes (with
// the same version of gnuplot and the same fonts).
#pragma once

#include <filesystem>
#include <string>

#include "report/figures/figure.h"

namespace condense {

// "gnuplot 5.4 patchlevel 4"; DataError if it cannot be started.
std::string GnuplotVersion(const std::string& program = "gnuplot");

struct DrawnFigure {
  std::string svg, pdf;
};

// DataError if gnuplot is missing or fails; the message says what to do.
DrawnFigure DrawWithGnuplot(const Figure& figure, const std::string& program = "gnuplot");

// Writes <folder>/<name>.svg, .pdf and .csv. If gnuplot is missing or fails, existing files stay as
// they were, the script is written to <name>.gp with all numbers, and the DataError says how to run
// it. After success, a <name>.gp of an earlier failure is deleted.
void WriteFigure(const Figure& figure, const std::filesystem::path& folder, const std::string& name,
                 const std::string& program = "gnuplot");

}  // namespace condense
