// A figure as text: its numbers as CSV, and a gnuplot script that draws it. The script contains the
// numbers and needs no other file.
#pragma once

#include <string>

#include "report/figures/figure.h"

namespace condense {

// One line per drawn point, every digit, in stored units; points of the dense model have no x.
std::string FigureCsv(const Figure& figure);

// The script writes <name>.svg and <name>.pdf into the folder where gnuplot 5.4 or later runs it,
// independent of the user's settings. ConfigError where a logarithmic axis has nothing to show.
std::string GnuplotScript(const Figure& figure, const std::string& name);

// A text in single quotes. Text is drawn literally (`noenhanced`), so only quotes and line ends are
// escaped.
std::string GnuplotText(const std::string& text);

}  // namespace condense
