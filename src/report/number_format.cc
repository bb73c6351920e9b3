#include "report/number_format.h"

#include <fmt/format.h>

#include <cmath>

#include "base/strings.h"

namespace condense {

NumberFormat FormatOfMetric(std::string_view metric) {
  using Style = NumberFormat::Style;
  if (EndsWith(metric, "perplexity") || metric == "ppl")
    return {Style::kFixed, 2, Better::kLower, true};
  if (metric == "nll" || StartsWith(metric, "kl")) return {Style::kFixed, 4, Better::kLower};
  if (StartsWith(metric, "acc") || StartsWith(metric, "mean") || StartsWith(metric, "agreement")) {
    return {Style::kPercent, 2, Better::kHigher};
  }
  if (EndsWith(metric, "-params")) return {Style::kRatio, 1};
  if (EndsWith(metric, "parameters")) return {Style::kInteger, 0};
  if (metric == "macs" || metric == "kv_bytes_per_token") {
    return {Style::kInteger, 0, Better::kLower};
  }
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

}  // namespace condense
