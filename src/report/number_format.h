// How a stored double is printed. This is the only place where numbers are rounded (protocols.md
// 0.3, 1.2); the database and CSV files keep full precision.
#pragma once

#include <string>

#include "stats/metric.h"

namespace condense {

std::string FormatNumber(double value, const NumberFormat& format);
// "5.48 ± 0.03"
std::string FormatWithInterval(double value, double half_interval, const NumberFormat& format);

}  // namespace condense
