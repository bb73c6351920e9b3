// Range and ticks of an axis. They are chosen here and not by gnuplot, so that a logarithmic axis
// of half a decade has labels too, and every version of gnuplot draws the same ticks.
#pragma once

#include <string>
#include <vector>

#include "report/figures/figure.h"

namespace condense {

struct AxisTick {
  double at = 0;
  std::string label;  // empty for a small tick
};

struct DrawnAxis {
  double low = 0, high = 1;
  std::vector<AxisTick> ticks;  // ascending, all within the range
};

// `values` must lie on the axis, in its units: `factor` times the stored ones. With `whole`, ticks
// are whole numbers and the range ends half a step beyond the values. A logarithmic axis ignores
// values that are not positive; ConfigError if there are no others.
DrawnAxis LayOutAxis(const FigureAxis& axis, const std::vector<double>& values, double factor,
                     bool whole);

// "2¹¹" for powers of two on a log2 axis, "10⁵", "4.2M", "0.25".
std::string TickLabel(double value, FigureAxis::Scale scale);

}  // namespace condense
