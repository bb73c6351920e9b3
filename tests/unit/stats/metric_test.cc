#include "stats/metric.h"

#include <gmock/gmock.h>

#include "stats/means.h"

namespace condense {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

const Metric& kExact = RegisterMetric({.name = "test-part-seconds",
                                       .unit = "s",
                                       .better = Better::kLower,
                                       .label = "time of a part",
                                       .kind = Metric::Kind::kModule});
const Metric& kPattern = RegisterMetric({.name = "*-seconds", .unit = "s", .label = "* time"});
const Metric& kLonger =
    RegisterMetric({.name = "*-part-seconds", .unit = "s", .label = "time of the part *"});

TEST(MetricCatalogue, FindsAMetricByItsNameElseByTheLongestEnding) {
  EXPECT_EQ(FindMetric("test-part-seconds"), kExact);
  EXPECT_EQ(FindMetric("solve-seconds")->label, "solve time");
  EXPECT_EQ(FindMetric("solve-seconds")->name, "solve-seconds");
  EXPECT_EQ(FindMetric("solve-mlp-seconds")->label, "solve-mlp time");
  EXPECT_EQ(FindMetric("qk-part-seconds")->label, "time of the part qk");
  EXPECT_EQ(FindMetric("seconds"), std::nullopt);
  EXPECT_EQ(FindMetric("*-seconds"), std::nullopt);
}

TEST(MetricCatalogue, ListsNamesButNoEndings) {
  EXPECT_THAT(MetricNames(), AllOf(Contains("test-part-seconds"), Contains("acc_norm"),
                                   Not(Contains(HasSubstr("*")))));
  EXPECT_THAT(MetricNames(Metric::Kind::kModule), Contains("test-part-seconds"));
  EXPECT_THAT(MetricNames(Metric::Kind::kTaskAccuracy),
              AllOf(Contains("acc"), Not(Contains("ppl"))));
}

TEST(MetricCatalogue, DescribesAnUnknownMetricByItsUnit) {
  const Metric bytes = DescribeMetric("peak_rss_bytes", "bytes");
  EXPECT_EQ(bytes.format.style, NumberFormat::Style::kBytes);
  EXPECT_EQ(bytes.better, Better::kNeither);
  EXPECT_EQ(bytes.label, "peak rss bytes");
  EXPECT_EQ(DescribeMetric("kept", "fraction").format.style, NumberFormat::Style::kRatio);
  EXPECT_EQ(DescribeMetric("rows", "count").format.style, NumberFormat::Style::kInteger);
  EXPECT_EQ(DescribeMetric("rows", "").format.style, NumberFormat::Style::kSignificant);
  EXPECT_EQ(DescribeMetric("acc", "").better, Better::kHigher);
}

TEST(MetricCatalogue, ANameHasOneMeaning) {
  EXPECT_EQ(&RegisterMetric(kExact), &kExact);
  Metric other = kExact;
  other.better = Better::kHigher;
  EXPECT_THROW(RegisterMetric(other), std::logic_error);
  EXPECT_THROW(RegisterMetric({.name = "unlabelled"}), std::logic_error);
}

// Whether every task metric is registered is the compiler's business: StoredMetric() returns entries.
TEST(MetricCatalogue, HoldsTheMetricsOfTasks) {
  using enum TaskMetric;
  for (const TaskMetric metric : {kAcc, kAccNorm, kAccBytes, kAccTok, kGreedy}) {
    EXPECT_EQ(StoredMetric(metric).kind, Metric::Kind::kTaskAccuracy);
    EXPECT_EQ(StoredMetric(metric).format, MeanMetric().format);
    EXPECT_EQ(StoredMetric(metric).better, Better::kHigher);
    EXPECT_EQ(FindMetric(StoredName(metric)), StoredMetric(metric));
  }
  EXPECT_EQ(StoredMetric(kPerplexity).better, Better::kLower);
  EXPECT_EQ(FindMetric("mean"), std::nullopt);  // computed, never stored
}

}  // namespace
}  // namespace condense
