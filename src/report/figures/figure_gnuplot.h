// Figures as files. gnuplot is run as a program of its own, in an empty folder, without the user's
// settings; what it leaves is made independent of the time of day, so that the same numbers give
// the same bytes (with the same version of gnuplot and the same fonts).
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

// <folder>/<name>.svg, .pdf and .csv. Where gnuplot is missing or fails, the files there are left
// as they were, what it was asked to draw is written as <name>.gp (numbers included, so that
// nothing is lost), and the DataError says how to go on from there. A <name>.gp of an earlier
// failure is removed when all went well.
void WriteFigure(const Figure& figure, const std::filesystem::path& folder, const std::string& name,
                 const std::string& program = "gnuplot");

}  // namespace condense
