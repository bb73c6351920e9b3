// Numbers of one evaluation under the metrics that they are values of, for callers that store or
// print them and treat all evaluations alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stats/intervals.h"
#include "stats/metric.h"

namespace condense {

struct MeasuredValue {
  const Metric* metric = nullptr;  // of the catalogue
  double value = 0;
  std::optional<double> standard_error;
  std::optional<Interval> interval;  // 95 %
};

// Raw values, one per window or page.
struct MeasuredSeries {
  std::string name;
  std::vector<double> values;
};

struct Measured {
  std::vector<MeasuredValue> values;  // tables print the first
  std::vector<MeasuredSeries> series;
  int64_t count = 0;  // windows or pages
  std::string ids_sha256;
};

}  // namespace condense
