#include "results/records.h"

namespace condense {

MetricRecord RecordOf(const Metric& metric, double value, std::string protocol, std::string task) {
  return {.protocol = std::move(protocol),
          .task = std::move(task),
          .metric = metric.name,
          .value = value,
          .unit = metric.unit};
}

}  // namespace condense
