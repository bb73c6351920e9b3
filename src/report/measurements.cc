#include "report/measurements.h"

#include <fmt/format.h>

namespace condense {
namespace {

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
  return keys;
}

Measurement::Status StatusOf(const WorkState& state) {
  if (state.status == WorkStatus::kFailed) return Measurement::Status::kFailed;
  return state.has_result ? Measurement::Status::kDone : Measurement::Status::kMissing;
}

}  // namespace

std::vector<Measurement> MeasurementsOf(const ResultsStore& store, int64_t experiment_id) {
  std::vector<Measurement> measurements;
  for (const ExperimentCell& cell : store.CellsOfExperiment(experiment_id)) {
    Measurement measurement;
    measurement.id = cell.run.fingerprint;
    measurement.keys = KeysOf(cell);
    measurement.dense = cell.run.method == "dense";
    measurement.status = StatusOf(cell.run.state);
    measurement.error_class = cell.run.state.error_class;
    measurement.error_message = cell.run.state.error_message;
    for (const MetricRecord& metric : store.MetricsOfRun(cell.run.id)) {
      measurement.values.push_back(
          {metric.metric, metric.protocol, metric.task, metric.value, metric.basis});
    }
    measurements.push_back(std::move(measurement));
  }
  return measurements;
}

}  // namespace condense
