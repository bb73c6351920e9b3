#include "report/number_format.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/strings.h"

namespace condense {

NumberFormat FormatOfMetric(std::string_view metric) {
  using Style = NumberFormat::Style;
  if (EndsWith(metric, "perplexity")) return {Style::kFixed, 2, Better::kLower, true};
  if (metric == "nll" || StartsWith(metric, "kl")) return {Style::kFixed, 4, Better::kLower};
  if (StartsWith(metric, "acc") || StartsWith(metric, "mean") || StartsWith(metric, "agreement")) {
    return {Style::kPercent, 2, Better::kHigher};
  }
  if (EndsWith(metric, "-params")) return {Style::kRatio, 1};
  if (EndsWith(metric, "parameters")) return {Style::kInteger, 0};
  if (EndsWith(metric, "_bytes")) return {Style::kBytes, 2, Better::kLower};
  if (EndsWith(metric, "_per_second")) return {Style::kFixed, 1, Better::kHigher};
  if (EndsWith(metric, "seconds")) return {Style::kFixed, 1, Better::kLower};
  return {};
}

std::string FormatNumber(double value, const NumberFormat& format) {
  if (format.huge_is_capped && value > 1e6) return ">1e6";
  if (!std::isfinite(value)) return value > 0 ? "inf" : "-inf";
  switch (format.style) {
    case NumberFormat::Style::kFixed:
      return fmt::format("{:.{}f}", value, format.digits);
    case NumberFormat::Style::kPercent:
      return fmt::format("{:.{}f}", 100 * value, format.digits);
    case NumberFormat::Style::kRatio:
      return fmt::format("{:.{}f}%", 100 * value, format.digits);
    case NumberFormat::Style::kInteger:
      return GroupThousands(std::llround(value));
    case NumberFormat::Style::kBytes:
      return HumanBytes(static_cast<uint64_t>(std::max(0.0, value)));
    case NumberFormat::Style::kSignificant:
      return fmt::format("{:.{}g}", value, format.digits);
  }
  return "";
}

std::string FormatWithInterval(double value, double half_interval, const NumberFormat& format) {
  return fmt::format("{} ± {}", FormatNumber(value, format), FormatNumber(half_interval, format));
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
  const auto n = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / n;
  if (values.size() == 1) return {mean, 0};
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / (n - 1));
  return {mean, StudentQuantile975(static_cast<int>(values.size()) - 1) * deviation / std::sqrt(n)};
}

}  // namespace condense
