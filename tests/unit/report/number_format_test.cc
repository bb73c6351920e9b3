#include "report/number_format.h"

#include <gtest/gtest.h>

#include <limits>

namespace condense {
namespace {

std::string Show(std::string_view metric, double value) {
  return FormatNumber(value, FormatOfMetric(metric));
}

TEST(NumberFormat, RoundsEachMetricByItsRule) {
  EXPECT_EQ(Show("perplexity", 5.4749), "5.47");
  EXPECT_EQ(Show("word_perplexity", 8.705001), "8.71");
  EXPECT_EQ(Show("perplexity", 999999.999), "1000000.00");
  EXPECT_EQ(Show("perplexity", 1000000.5), ">1e6");
  EXPECT_EQ(Show("perplexity", std::numeric_limits<double>::infinity()), ">1e6");
  EXPECT_EQ(Show("nll", 1.70001), "1.7000");
  EXPECT_EQ(Show("acc_norm", 0.620783), "62.08");
  EXPECT_EQ(Show("mean5", 0.69), "69.00");
  EXPECT_EQ(Show("total-params", -0.17634), "-17.6%");
  EXPECT_EQ(Show("parameters", 6738415616.0), "6,738,415,616");
  EXPECT_EQ(Show("peak_rss_bytes", 3.0 * (1 << 30)), "3.00 GiB");
  EXPECT_EQ(Show("seconds", 12.34), "12.3");
  EXPECT_EQ(Show("something_else", 0.000123456), "0.0001235");
}

TEST(NumberFormat, KnowsWhichDirectionIsBetter) {
  EXPECT_EQ(FormatOfMetric("perplexity").better, Better::kLower);
  EXPECT_EQ(FormatOfMetric("ppl").better, Better::kLower);
  EXPECT_EQ(FormatOfMetric("acc").better, Better::kHigher);
  EXPECT_EQ(FormatOfMetric("tokens_per_second").better, Better::kHigher);
  EXPECT_EQ(FormatOfMetric("block-params").better, Better::kNeither);
}

TEST(NumberFormat, PrintsAnIntervalWithTheDigitsOfItsValue) {
  EXPECT_EQ(FormatWithInterval(5.478, 0.0312, FormatOfMetric("perplexity")), "5.48 ± 0.03");
}

}  // namespace
}  // namespace condense
