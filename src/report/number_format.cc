#include "report/number_format.h"

#include <fmt/format.h>

#include <cmath>

#include "base/strings.h"

namespace condense {

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
