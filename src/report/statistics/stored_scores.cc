#include "report/statistics/stored_scores.h"

#include "base/error.h"
#include "base/sha256.h"
#include "results/score_samples.h"

namespace condense {

namespace {

// Of the requests and what is asked of each document: scores with the same digest can be paired.
std::string DigestOf(const TaskScores& scores) {
  Sha256 hash;
  hash.Update(scores.requests_sha256).UpdateU64(scores.documents.size());
  for (const DocumentScore& document : scores.documents) {
    hash.UpdateU64(static_cast<uint64_t>(document.index)).Update(document.sha256);
    hash.UpdateU64(static_cast<uint64_t>(document.gold)).UpdateU64(document.choices.size());
  }
  return hash.Finish();
}

}  // namespace

std::optional<TaskScores> StoredScores::Task(const std::string& id, const std::string& protocol,
                                             const std::string& task) {
  const MetricRecord* metric = Metric(id, protocol, task);
  if (metric == nullptr) return std::nullopt;
  for (const StoredSamples& samples : store_.SamplesOfStage(metric->stage_key)) {
    if (samples.protocol != protocol || samples.task != task) continue;
    if (HoldsScores(samples.records)) return UnpackScores(samples.records);
  }
  return std::nullopt;
}

std::optional<WindowLosses> StoredScores::Windows(const std::string& id,
                                                  const std::string& protocol,
                                                  const std::string& name) {
  const MetricRecord* metric = Metric(id, protocol, "");
  if (metric == nullptr) return std::nullopt;
  const auto samples = store_.FindSamples(metric->stage_key, protocol, "", name);
  if (!samples) return std::nullopt;
  const auto* values = std::get_if<std::vector<double>>(&samples->values);
  if (values == nullptr || values->empty()) return std::nullopt;
  return WindowLosses{protocol, metric->basis, *values};
}

std::optional<ScoreSeries> StoredScores::Find(const std::string& id, const MetricValue& value) {
  const std::vector<std::string> key = {id, value.protocol, value.task, value.metric};
  const auto known = found_.find(key);
  if (known != found_.end()) return known->second;
  return found_.emplace(key, Load(id, value)).first->second;
}

std::optional<ScoreSeries> StoredScores::Load(const std::string& id, const MetricValue& value) {
  ScoreSeries series;
  series.basis = value.basis;
  if (value.task.empty()) {
    const std::string name = DescribeMetric(value.metric, value.unit).series;
    if (name.empty()) return std::nullopt;
    auto windows = Windows(id, value.protocol, name);
    if (!windows) return std::nullopt;
    series.kind = ScoreSeries::Kind::kWindows;
    series.values = std::move(windows->losses);
    return series;
  }
  const auto scores = Task(id, value.protocol, value.task);
  const auto metric = scores ? MetricNamed(value.metric, *scores) : std::nullopt;
  if (!metric) return std::nullopt;
  series.basis = DigestOf(*scores);
  series.values = Outcomes(*scores, *metric);
  if (*metric == TaskMetric::kPerplexity) {
    series.kind = ScoreSeries::Kind::kDocumentLosses;
    for (double& outcome : series.values) outcome = -outcome;
    return series;
  }
  series.flags = FlagsOf(*scores, *metric);
  series.chance = ChanceLevel(*scores);
  return series;
}

const MetricRecord* StoredScores::Metric(const std::string& id, const std::string& protocol,
                                         const std::string& task) {
  auto found = metrics_.find(id);
  if (found == metrics_.end()) {
    const auto run = store_.FindRun(id);
    found = metrics_.emplace(id, run ? store_.MetricsOfRun(run->id) : std::vector<MetricRecord>())
                .first;
  }
  for (const MetricRecord& metric : found->second) {
    if (metric.protocol == protocol && metric.task == task && !metric.basis.empty()) {
      return &metric;
    }
  }
  return nullptr;
}

}  // namespace condense
