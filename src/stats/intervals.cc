// Means, quantiles and the intervals that have a formula; resampling is in bootstrap.cc.
#include "stats/intervals.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/error.h"

namespace condense {

double MeanOf(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

namespace {

// Of a sample of at least two values.
double Deviation(std::span<const double> values) {
  const double mean = MeanOf(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (static_cast<double>(values.size()) - 1));
}

}  // namespace

double StandardErrorOfMean(std::span<const double> values) {
  if (values.size() < 2) return 0;
  return Deviation(values) / std::sqrt(static_cast<double>(values.size()));
}

double Quantile(std::span<const double> sorted, double q) {
  CONDENSE_CHECK(!sorted.empty() && 0 <= q && q <= 1, "quantile {} of {} values", q, sorted.size());
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval WilsonInterval(double successes, int64_t count) {
  CONDENSE_CHECK(count > 0, "an interval of no outcomes");
  constexpr double kZ = 1.959964;
  const double n = static_cast<double>(count), p = successes / n, z2 = kZ * kZ;
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kZ * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
  return {centre - half, centre + half};
}

namespace {

// P(|T| <= t) for Student's t with n degrees of freedom, by the finite sums of Abramowitz and
// Stegun 26.7.3-4; theta = arctan(t / sqrt n).
double StudentCentralProbability(double t, int n) {
  const double theta = std::atan(t / std::sqrt(n)), cosine = std::cos(theta);
  const bool odd = n % 2 == 1;
  double term = odd ? cosine : 1, sum = 0;
  for (int k = odd ? 3 : 2; k <= n; k += 2) {
    sum += term;
    term *= cosine * cosine * (k - 1) / k;
  }
  if (!odd) return std::sin(theta) * sum;
  return 2 / std::numbers::pi * (theta + std::sin(theta) * sum);
}

}  // namespace

double StudentQuantile975(int degrees) {
  CONDENSE_CHECK(degrees >= 1);
  double low = 1.9, high = 13;  // the quantile falls from 12.71 to 1.96
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (StudentCentralProbability(middle, degrees) < 0.95 ? low : high) = middle;
  }
  return (low + high) / 2;
}

Estimate MeanWithInterval(const std::vector<double>& values) {
  CONDENSE_CHECK(!values.empty());
  if (values.size() == 1) return {values.front(), 0};
  const double quantile = StudentQuantile975(static_cast<int>(values.size()) - 1);
  return {MeanOf(values),
          quantile * Deviation(values) / std::sqrt(static_cast<double>(values.size()))};
}

}  // namespace condense
