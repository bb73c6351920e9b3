// How numbers are printed. Which style a metric has is in the catalogue; reports know no names.
#include "report/number_format.h"

#include <gtest/gtest.h>

#include <limits>

namespace condense {
namespace {

using Style = NumberFormat::Style;

// The evaluations that register these are not linked to reports. The tests of this folder show them.
[[maybe_unused]] const bool kRegistered = [] {
  const NumberFormat perplexity{Style::kFixed, 2, true}, nats{Style::kFixed, 4},
      fraction{Style::kRatio, 1}, integer{Style::kInteger, 0};
  for (const Metric& metric : {
           Metric{"perplexity", "", perplexity, Better::kLower, "perplexity", "window_nll",
                  Metric::Kind::kTextPerplexity},
           Metric{"nll", "nats", nats, Better::kLower, "loss per token", "window_nll"},
           Metric{"kl_mean", "nats", nats, Better::kLower, "KL divergence from dense", "window_kl",
                  Metric::Kind::kAgreement},
           Metric{"block-params", "fraction", fraction, Better::kNeither, "block weights removed"},
           Metric{"total-params", "fraction", fraction, Better::kNeither, "parameters removed"},
           Metric{"kept-params", "fraction", fraction, Better::kNeither, "weights kept", "",
                  Metric::Kind::kModule},
           Metric{"damping", "", {}, Better::kNeither, "damping", "", Metric::Kind::kModule},
           Metric{"parameters", "count", integer, Better::kNeither, "parameters"},
           Metric{"macs", "count", integer, Better::kLower, "multiplications"},
           Metric{"*-seconds", "s", {Style::kFixed, 1}, Better::kLower, "* time"},
       }) {
    RegisterMetric(metric);
  }
  return true;
}();

std::string Show(std::string_view metric, double value, std::string_view unit = "") {
  return FormatNumber(value, DescribeMetric(metric, unit).format);
}

TEST(NumberFormat, RoundsEachMetricByItsRule) {
  EXPECT_EQ(Show("perplexity", 5.4749), "5.47");
  EXPECT_EQ(Show("perplexity", 8.705001), "8.71");
  EXPECT_EQ(Show("perplexity", 999999.999), "1000000.00");
  EXPECT_EQ(Show("perplexity", 1000000.5), ">1e6");
  EXPECT_EQ(Show("perplexity", std::numeric_limits<double>::infinity()), ">1e6");
  EXPECT_EQ(Show("nll", 1.70001), "1.7000");
  EXPECT_EQ(Show("acc_norm", 0.620783), "62.08");
  EXPECT_EQ(Show("total-params", -0.17634), "-17.6%");
  EXPECT_EQ(Show("parameters", 6738415616.0), "6,738,415,616");
  EXPECT_EQ(Show("solve-seconds", 12.34), "12.3");
}

TEST(NumberFormat, RoundsUnknownMetricsByTheirUnit) {
  EXPECT_EQ(Show("peak_rss_bytes", 3.0 * (1 << 30), "bytes"), "3.00 GiB");
  EXPECT_EQ(Show("seconds", 12.34, "s"), "12.3");
  EXPECT_EQ(Show("something_else", 0.000123456), "0.0001235");
}

TEST(NumberFormat, PrintsAnIntervalWithTheDigitsOfItsValue) {
  EXPECT_EQ(FormatWithInterval(5.478, 0.0312, {Style::kFixed, 2}), "5.48 ± 0.03");
}

}  // namespace
}  // namespace condense
