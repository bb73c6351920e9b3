#include "report/measurements.h"

#include <fmt/format.h>

#include <algorithm>

namespace condense {

std::map<std::string, std::string> KeysOf(const ExperimentCell& cell) {
  const RunRecord& run = cell.run;
  std::map<std::string, std::string> keys = {
      {"model", run.model},
      {"dtype", run.dtype},
      {"method", cell.label.empty() ? run.method : cell.label},
      {"params", run.method_params},
      {"ratio", run.nominal_ratio ? fmt::format("{}", *run.nominal_ratio) : ""},
      {"ratio_kind", run.match},
      {"calibration", run.calibration},
      {"seed", run.seed ? fmt::format("{}", *run.seed) : ""},
  };
  std::erase_if(keys, [](const auto& entry) { return entry.second.empty(); });
  keys.insert(cell.axes.begin(), cell.axes.end());
  return keys;
}

namespace {

bool IsDense(const ExperimentCell& cell) {
  return cell.run.method == "dense" &&
         std::all_of(cell.axes.begin(), cell.axes.end(),
                     [](const auto& axis) { return axis.second == kAxisOff; });
}

Measurement::Status StatusOf(const WorkState& state) {
  if (state.status == WorkStatus::kFailed) return Measurement::Status::kFailed;
  return state.has_result ? Measurement::Status::kDone : Measurement::Status::kMissing;
}

}  // namespace

Measurement MeasurementOf(const ResultsStore& store, const ExperimentCell& cell) {
  const WorkState& state = cell.run.state;
  Measurement measurement{.id = cell.run.fingerprint,
                          .keys = KeysOf(cell),
                          .method = cell.run.method,
                          .dense = IsDense(cell),
                          .status = StatusOf(state),
                          .error_class = state.error_class,
                          .error_message = state.error_message};
  for (const MetricRecord& metric : store.MetricsOfRun(cell.run.id)) {
    measurement.values.push_back({metric.metric, metric.protocol, metric.task, metric.value,
                                  metric.basis, metric.standard_error, metric.count, metric.unit});
  }
  return measurement;
}

std::vector<Measurement> MeasurementsOf(const ResultsStore& store, int64_t experiment_id) {
  std::vector<Measurement> measurements;
  for (const ExperimentCell& cell : store.CellsOfExperiment(experiment_id)) {
    measurements.push_back(MeasurementOf(store, cell));
  }
  return measurements;
}

}  // namespace condense
