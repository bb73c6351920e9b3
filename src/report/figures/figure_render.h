// A figure as text: its numbers as CSV, and a script that has gnuplot draw it. The script holds the
// numbers itself and needs no other file.
#pragma once

#include <string>

#include "report/figures/figure.h"

namespace condense {

// A line for each point drawn, every digit, in stored units; those of the dense model have no x.
std::string FigureCsv(const Figure& figure);

// Writes <name>.svg and <name>.pdf into the folder in which gnuplot 5.4 or later runs it. Nothing
// is taken from the settings of whoever runs it. ConfigError where a logarithmic axis has nothing
// to show.
std::string GnuplotScript(const Figure& figure, const std::string& name);

// A text between single quotes. Text is drawn as it is (`noenhanced`), so quotes and line ends are
// all there is to escape.
std::string GnuplotText(const std::string& text);

}  // namespace condense
