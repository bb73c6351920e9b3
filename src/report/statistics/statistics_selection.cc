#include "report/statistics/statistics_selection.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "stats/means.h"
#include "stats/stored_names.h"

namespace condense {
namespace {

using Names = std::vector<std::string>;
using Kind = Metric::Kind;

bool Chosen(const Names& names, const std::string& name) {
  return names.empty() || Contains(names, name);
}

void RequireKnown(const char* what, const Names& wanted, const std::set<std::string>& known) {
  const Names names(known.begin(), known.end());
  for (const std::string& name : wanted) {
    if (known.contains(name)) continue;
    throw MakeError<ConfigError>("no cell has results of the {} '{}'{}", what, name,
                                 SuggestName(name, names));
  }
}

bool IsOfTask(Kind kind) { return kind == Kind::kTaskAccuracy || kind == Kind::kTaskPerplexity; }

}  // namespace

Kind KindOf(const MetricValue& value) {
  if (const auto known = FindMetric(value.metric)) return known->kind;
  if (ParseModulePlace(value.task)) return Kind::kModule;
  const bool counts = value.unit == "count";
  return ParseAgreementText(value.protocol) && !counts ? Kind::kAgreement : Kind::kOther;
}

bool AgreesIn(const Names& keys, const Measurement& a, const Measurement& b) {
  return std::all_of(keys.begin(), keys.end(), [&](const std::string& key) {
    const auto of_a = a.keys.find(key), of_b = b.keys.find(key);
    return of_a == a.keys.end() || of_b == b.keys.end() || of_a->second == of_b->second;
  });
}

StatisticsSelection::StatisticsSelection(const std::vector<Measurement>& measurements,
                                         const StatisticsOptions& options)
    : measurements_(measurements), options_(options) {
  std::set<std::string> protocols, tasks, metrics, methods;
  for (const Measurement& measurement : measurements) {
    methods.insert(measurement.keys.at("method"));
    for (const MetricValue& value : measurement.values) {
      protocols.insert(value.protocol);
      metrics.insert(value.metric);
      if (IsOfTask(KindOf(value))) tasks.insert(value.task);
    }
  }
  for (const NamedMean& mean : NamedMeans()) metrics.insert(mean.id);
  RequireKnown("protocol", options.protocols, protocols);
  RequireKnown("task", options.tasks, tasks);
  RequireKnown("metric", options.metrics, metrics);
  if (!options.baseline.empty()) RequireKnown("method", {options.baseline}, methods);
}

bool StatisticsSelection::ReportsCell(const Measurement& cell) const {
  return Chosen(options_.cells, cell.id);
}

Names StatisticsSelection::ProtocolsOf(const Measurement& cell) const {
  Names protocols;
  for (const MetricValue& value : cell.values) {
    if (Chosen(options_.protocols, value.protocol) && !Contains(protocols, value.protocol)) {
      protocols.push_back(value.protocol);
    }
  }
  return protocols;
}

std::vector<Reference> StatisticsSelection::ReferencesOf(const Measurement& cell) const {
  std::vector<Reference> references;
  for (const Measurement& other : measurements_) {
    if (other.id == cell.id) continue;
    if (!options_.reference.empty()) {
      if (other.id == options_.reference) references.push_back({other.id.substr(0, 12), &other});
    } else if (other.dense && AgreesIn({"model", "dtype"}, cell, other)) {
      references.push_back({"dense", &other});
    }
    if (!options_.baseline.empty() && !cell.dense && other.keys.at("method") == options_.baseline &&
        AgreesIn({"model", "dtype", "ratio", "ratio_kind", "calibration", "seed"}, cell, other)) {
      references.push_back({options_.baseline, &other});
    }
  }
  return references;
}

bool StatisticsSelection::ReportsTask(const Measurement& cell, const MetricValue& value) const {
  if (value.task.empty() || !Chosen(options_.tasks, value.task)) return false;
  const Kind kind = KindOf(value);
  if (!IsOfTask(kind)) return false;
  if (!options_.metrics.empty()) return Contains(options_.metrics, value.metric);
  const std::string &plain = StoredName(TaskMetric::kAcc), &norm = StoredName(TaskMetric::kAccNorm);
  if (kind == Kind::kTaskPerplexity || value.metric == norm) return true;
  const bool has_norm =
      std::any_of(cell.values.begin(), cell.values.end(), [&](const MetricValue& other) {
        return other.protocol == value.protocol && other.task == value.task && other.metric == norm;
      });
  return value.metric == plain && !has_norm;
}

bool StatisticsSelection::ReportsMean(const std::string& id) const {
  return options_.tasks.empty() && Chosen(options_.metrics, id);
}

bool StatisticsSelection::ReportsText(const MetricValue& value) const {
  return options_.tasks.empty() && value.task.empty() && Chosen(options_.metrics, value.metric);
}

}  // namespace condense
