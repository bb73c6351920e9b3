// Range and ticks of an axis. They are chosen here, not by gnuplot, so that a logarithmic axis of
// half a decade has numbers too, and the same figure has the same ticks with every version of it.
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

// `values` are what the axis has to hold, in the units of the axis: `factor` times those stored.
// With `whole`, ticks are whole numbers and the range ends half a step beyond the values. A
// logarithmic axis passes over values that are not positive; ConfigError if there is no other.
DrawnAxis LayOutAxis(const FigureAxis& axis, const std::vector<double>& values, double factor,
                     bool whole);

// "2¹¹" for powers of two on a log2 axis, "10⁵", "4.2M", "0.25".
std::string TickLabel(double value, FigureAxis::Scale scale);

}  // namespace condense
