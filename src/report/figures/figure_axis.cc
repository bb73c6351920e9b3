#include "report/figures/figure_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace condense {
namespace {

using Scale = FigureAxis::Scale;

std::string Superscript(int number) {
  static const std::array<const char*, 10> digits = {"⁰", "¹", "²", "³", "⁴",
                                                     "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string out = number < 0 ? "⁻" : "";
  for (const char digit : std::to_string(std::abs(number))) {
    out += digits[static_cast<size_t>(digit - '0')];
  }
  return out;
}

bool IsWhole(double value) { return std::abs(value - std::round(value)) < 1e-9; }

// Steps of 1, 2 or 5 times a power of ten, of which `most` fit.
double NiceStep(double span, int most) {
  const double power = std::pow(10, std::floor(std::log10(span / most)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (span / (factor * power) <= most) return factor * power;
  }
  return 10 * power;
}

std::vector<AxisTick> LinearTicks(double low, double high, bool whole, Scale scale) {
  const double step = std::max(NiceStep(high - low, 6), whole ? 1.0 : 0.0);
  std::vector<AxisTick> ticks;
  const double slack = 1e-9 * (high - low);
  for (double n = std::ceil((low - slack) / step); n * step <= high + slack; ++n) {
    const double at = std::clamp(n * step, low, high);
    ticks.push_back({at, TickLabel(n * step, scale)});
  }
  return ticks;
}

struct LogTicks {
  std::vector<AxisTick> ticks;
  int labels = 0;
};

// Mantissas that get a label; all from 1 to 9 get a small tick.
LogTicks TicksOfDecades(double low, double high, const std::vector<int>& labelled, int every) {
  LogTicks result;
  for (int power = static_cast<int>(std::floor(std::log10(low)));
       power <= static_cast<int>(std::ceil(std::log10(high))); ++power) {
    for (int mantissa = 1; mantissa <= 9; ++mantissa) {
      const double at = mantissa * std::pow(10, power);
      if (at < low || at > high) continue;
      const bool shown = power % every == 0 &&
                         std::find(labelled.begin(), labelled.end(), mantissa) != labelled.end();
      result.ticks.push_back({at, shown ? TickLabel(at, Scale::kLog) : ""});
      result.labels += shown ? 1 : 0;
    }
  }
  return result;
}

std::vector<AxisTick> TicksOfLog10(double low, double high) {
  constexpr int kMost = 7, kFewest = 3;
  for (const auto& labelled : {std::vector<int>{1, 2, 3, 5, 7}, {1, 2, 5}, {1, 3}, {1}}) {
    LogTicks ticks = TicksOfDecades(low, high, labelled, 1);
    if (ticks.labels > kMost) continue;
    if (ticks.labels < kFewest && high / low < 30) break;  // too short for decades
    return ticks.ticks;
  }
  if (high / low < 30) return LinearTicks(low, high, false, Scale::kLog);
  const int decades = static_cast<int>(std::ceil(std::log10(high / low)));
  return TicksOfDecades(low, high, {1}, (decades + kMost - 1) / kMost).ticks;
}

std::vector<AxisTick> TicksOfLog2(double low, double high) {
  std::vector<AxisTick> ticks;
  const int first = static_cast<int>(std::ceil(std::log2(low) - 1e-9));
  const int last = static_cast<int>(std::floor(std::log2(high) + 1e-9));
  const int every = std::max(1, (last - first + 8) / 8);
  for (int power = first; power <= last; ++power) {
    const bool shown = (power - first) % every == 0;
    const double at = std::exp2(power);
    ticks.push_back({at, shown ? TickLabel(at, Scale::kLog2) : ""});
  }
  return ticks;
}

}  // namespace

std::string TickLabel(double value, Scale scale) {
  if (value == 0) return "0";
  if (scale == Scale::kLog2 && std::abs(value) >= 1024 && IsWhole(std::log2(value))) {
    return fmt::format("2{}", Superscript(static_cast<int>(std::round(std::log2(value)))));
  }
  if (scale == Scale::kLog && (value >= 1e4 || value < 1e-3) && IsWhole(std::log10(value))) {
    return fmt::format("10{}", Superscript(static_cast<int>(std::round(std::log10(value)))));
  }
  const double size = std::abs(value);
  if (size >= 1e9) return fmt::format("{:.4g}G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.4g}k", value / 1e3);
  return fmt::format("{:.6g}", value);
}

DrawnAxis LayOutAxis(const FigureAxis& axis, const std::vector<double>& values, double factor,
                     bool whole) {
  const bool log = axis.scale != Scale::kLinear;
  std::vector<double> held;
  std::copy_if(values.begin(), values.end(), std::back_inserter(held),
               [&](double value) { return std::isfinite(value) && (!log || value > 0); });
  if (held.empty()) {
    throw MakeError<ConfigError>("the axis '{}' is logarithmic, and no value is above zero",
                                 axis.label);
  }
  const auto [least, most] = std::minmax_element(held.begin(), held.end());
  const auto into = [&](double value) { return log ? std::log(value) : value; };
  const auto back = [&](double value) { return log ? std::exp(value) : value; };
  double low = into(*least), high = into(*most);
  const double same = log ? 0.1 : std::max(1e-6, 0.1 * std::abs(low));
  const double span = high - low > 1e-9 * std::abs(high) ? high - low : 10 * same;
  const double margin = whole ? 0.5 : high - low < span ? same : 0.05 * span;
  low -= margin;
  high += margin;
  DrawnAxis drawn{
      axis.low ? factor * *axis.low : back(low), axis.high ? factor * *axis.high : back(high), {}};
  // Only one end is given, and all values lie beyond it.
  if (drawn.low >= drawn.high) {
    (axis.low ? drawn.high : drawn.low) = axis.low ? drawn.low + 1 : drawn.high * (log ? 0.1 : 0);
    if (drawn.low >= drawn.high) drawn.low = drawn.high - 1;
  }
  drawn.ticks = axis.scale == Scale::kLog ? TicksOfLog10(drawn.low, drawn.high)
                : axis.scale == Scale::kLog2
                    ? TicksOfLog2(drawn.low, drawn.high)
                    : LinearTicks(drawn.low, drawn.high, whole, axis.scale);
  return drawn;
}

}  // namespace condense
