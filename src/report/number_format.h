// How a stored double is printed. This is the only place where numbers are rounded (protocols.md
// 0.3, 1.2); the database and CSV files keep full precision.
#pragma once

#include <string>
#include <string_view>

namespace condense {

enum class Better { kLower, kHigher, kNeither };

struct NumberFormat {
  enum class Style {
    kFixed,        // `digits` decimals
    kPercent,      // 100 times the value, `digits` decimals, no sign
    kRatio,        // the same with a percent sign
    kInteger,      // grouped in thousands
    kBytes,        // "1.50 GiB"
    kSignificant,  // `digits` significant digits
  };
  Style style = Style::kSignificant;
  int digits = 4;
  Better better = Better::kNeither;
  bool huge_is_capped = false;  // above a million prints as ">1e6"
};

// By the name of the metric: perplexity, acc_norm, total-params, seconds, peak_rss_bytes, ...
NumberFormat FormatOfMetric(std::string_view metric);
std::string FormatNumber(double value, const NumberFormat& format);
// "5.48 ± 0.03"
std::string FormatWithInterval(double value, double half_interval, const NumberFormat& format);

}  // namespace condense
