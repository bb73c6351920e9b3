#include "stats/intervals.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace condense {

double MeanOf(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double StandardErrorOfMean(std::span<const double> values) {
  if (values.size() < 2) return 0;
  const double mean = MeanOf(values), n = static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (n - 1)) / std::sqrt(n);
}

Interval WilsonInterval(double successes, int64_t count) {
  CONDENSE_CHECK(count > 0, "an interval of no outcomes");
  constexpr double kZ = 1.959964;
  const double n = static_cast<double>(count), p = successes / n, z2 = kZ * kZ;
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kZ * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
  return {centre - half, centre + half};
}

}  // namespace condense
