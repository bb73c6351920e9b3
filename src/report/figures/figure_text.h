// A figure as text, for a terminal: axes, points and lines in characters, one panel below the
// other. Intervals are not drawn; the CSV has them.
#pragma once

#include <string>

#include "report/figures/figure.h"

namespace condense {

// Ends with what could not be drawn. ConfigError where a logarithmic axis has nothing to show.
std::string FigureText(const Figure& figure);

}  // namespace condense
