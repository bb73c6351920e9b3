#include "report/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "stats/means.h"

namespace condense {
namespace {

using Names = std::vector<std::string>;

bool Contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}
bool Chosen(const Names& names, const std::string& name) {
  return names.empty() || Contains(names, name);
}
bool IsAccuracy(const std::string& metric) { return StartsWith(metric, "acc"); }

struct Reference {
  std::string name;
  const Measurement* cell;
};

// Equal where both have the key.
bool AgreesIn(const Names& keys, const Measurement& a, const Measurement& b) {
  return std::all_of(keys.begin(), keys.end(), [&](const std::string& key) {
    const auto of_a = a.keys.find(key), of_b = b.keys.find(key);
    return of_a == a.keys.end() || of_b == b.keys.end() || of_a->second == of_b->second;
  });
}

class Reporter {
 public:
  Reporter(const std::vector<Measurement>& measurements, StoredScores& scores,
           const StatisticsOptions& options)
      : measurements_(measurements), scores_(scores), options_(options) {}

  CellStatistics Report(const Measurement& cell) {
    CellStatistics result{&cell, {}};
    const std::vector<Reference> references = ReferencesOf(cell);
    for (const std::string& protocol : ProtocolsOf(cell)) {
      AddTasks(cell, protocol, references, result.rows);
      if (options_.tasks.empty()) AddTexts(cell, protocol, references, result.rows);
    }
    return result;
  }

 private:
  Names ProtocolsOf(const Measurement& cell) const {
    Names protocols;
    for (const MetricValue& value : cell.values) {
      if (Chosen(options_.protocols, value.protocol) && !Contains(protocols, value.protocol)) {
        protocols.push_back(value.protocol);
      }
    }
    return protocols;
  }

  std::vector<Reference> ReferencesOf(const Measurement& cell) const {
    std::vector<Reference> references;
    for (const Measurement& other : measurements_) {
      if (other.id == cell.id) continue;
      if (!options_.reference.empty()) {
        if (other.id == options_.reference) references.push_back({other.id.substr(0, 12), &other});
      } else if (other.dense && AgreesIn({"model", "dtype"}, cell, other)) {
        references.push_back({"dense", &other});
      }
      if (!options_.baseline.empty() && !cell.dense &&
          other.keys.at("method") == options_.baseline &&
          AgreesIn({"model", "dtype", "ratio", "ratio_kind", "calibration", "seed"}, cell, other)) {
        references.push_back({options_.baseline, &other});
      }
    }
    return references;
  }

  // --- Tasks ---

  // Whether the value of a task is asked for.
  bool IsReported(const Measurement& cell, const MetricValue& value) const {
    if (!IsAccuracy(value.metric) && value.metric != "ppl") return false;
    if (!options_.metrics.empty()) return Contains(options_.metrics, value.metric);
    if (value.metric == "ppl" || value.metric == "acc_norm") return true;
    const bool has_norm =
        std::any_of(cell.values.begin(), cell.values.end(), [&](const MetricValue& other) {
          return other.protocol == value.protocol && other.task == value.task &&
                 other.metric == "acc_norm";
        });
    return value.metric == "acc" && !has_norm;
  }

  std::vector<TaskScores> ScoresOf(const Measurement& cell, const std::string& protocol) {
    std::vector<TaskScores> scores;
    std::set<std::string> seen;
    for (const MetricValue& value : cell.values) {
      if (value.protocol != protocol || value.task.empty()) continue;
      if (!IsAccuracy(value.metric) && value.metric != "ppl") continue;
      if (!seen.insert(value.task).second) continue;
      if (auto found = scores_.Task(cell.id, protocol, value.task)) {
        scores.push_back(std::move(*found));
      }
    }
    return scores;
  }

  // The scores of references serve many cells.
  const std::vector<TaskScores>& ScoresOfReference(const Measurement& cell,
                                                   const std::string& protocol) {
    const auto key = std::pair(cell.id, protocol);
    const auto known = references_.find(key);
    if (known != references_.end()) return known->second;
    if (references_.size() >= kKeptReferences) references_.clear();
    return references_.emplace(key, ScoresOf(cell, protocol)).first->second;
  }

  void AddTasks(const Measurement& cell, const std::string& protocol,
                const std::vector<Reference>& references, std::vector<StatisticsRow>& rows) {
    const std::vector<TaskScores> scores = ScoresOf(cell, protocol);
    std::map<std::string, std::vector<size_t>> families;  // rows that are corrected together
    for (const MetricValue& value : cell.values) {
      if (value.protocol != protocol || value.task.empty()) continue;
      if (!Chosen(options_.tasks, value.task) || !IsReported(cell, value)) continue;
      const TaskScores* task = FindScores(scores, value.task);
      const auto metric = task == nullptr ? std::nullopt : MetricNamed(value.metric, *task);
      if (!metric) {
        const bool ppl = value.metric == "ppl";
        rows.push_back(StoredRow(
            value, ppl ? StatisticsRow::Group::kPerplexity : StatisticsRow::Group::kAccuracy));
        continue;
      }
      rows.push_back(TaskRow(*task, *metric));
      for (const Reference& reference : references) {
        Compare(cell, *task, *metric, reference, rows.back());
      }
      families[options_.metrics.empty() ? "" : value.metric].push_back(rows.size() - 1);
    }
    for (const auto& [metric, family] : families) CorrectTests(family, rows);
    for (const NamedMean& mean : NamedMeans()) {
      if (options_.tasks.empty() && Chosen(options_.metrics, mean.id)) {
        AddMean(cell, mean, scores, references, rows);
      }
    }
  }

  // Where the scores are not kept, or say nothing more.
  static StatisticsRow StoredRow(const MetricValue& value, StatisticsRow::Group group) {
    return {.group = group,
            .protocol = value.protocol,
            .task = value.task,
            .metric = value.metric,
            .value = value.value,
            .standard_error = value.standard_error,
            .count = value.count};
  }

  StatisticsRow TaskRow(const TaskScores& task, TaskMetric metric) const {
    const TaskValue value = ValueOf(task, metric);
    StatisticsRow row{.protocol = task.protocol,
                      .task = task.task,
                      .metric = std::string(StoredName(metric)),
                      .value = value.value,
                      .standard_error = value.standard_error,
                      .count = value.count};
    if (metric == TaskMetric::kPerplexity) {
      std::vector<double> losses = Outcomes(task, metric);
      for (double& loss : losses) loss = -loss;
      row.group = StatisticsRow::Group::kPerplexity;
      row.nll = MeanOf(losses);
      const Interval interval =
          BootstrapMeanOfMeans({&losses, 1}, Bootstrap("bootstrap " + task.task + " ppl"));
      row.interval = {std::exp(interval.low), std::exp(interval.high)};
      row.interval_method = "bootstrap";
      return row;
    }
    const auto count = static_cast<double>(value.count);
    row.interval = WilsonInterval(std::round(value.value * count), value.count);
    row.interval_method = "wilson";
    row.flags = FlagsOf(task, metric);
    return row;
  }

  void Compare(const Measurement& cell, const TaskScores& task, TaskMetric metric,
               const Reference& reference, StatisticsRow& row) {
    const TaskScores* other =
        FindScores(ScoresOfReference(*reference.cell, task.protocol), task.task);
    if (other == nullptr) return;
    const ComparisonOptions options = Comparison(cell, reference);
    if (metric == TaskMetric::kPerplexity) {
      row.comparisons.push_back(OfLosses(reference, CompareLikelihoods(*other, task, options)));
      return;
    }
    const TaskComparison compared = CompareTask(*other, task, metric, options);
    PairedStatistics paired{.against = reference.name,
                            .id = reference.cell->id,
                            .difference = compared.difference,
                            .standard_error = compared.standard_error,
                            .interval = compared.interval,
                            .test = compared.test};
    if (reference.cell->dense) {
      const double value = compared.other.value, dense = compared.reference.value;
      paired.retention = Retention(value, dense);
      paired.retention_above_chance = ChanceCorrectedRetention(value, dense, ChanceLevel(task));
    }
    row.comparisons.push_back(std::move(paired));
  }

  // Holm's correction over the tests of rows against one reference.
  static void CorrectTests(const std::vector<size_t>& family, std::vector<StatisticsRow>& rows) {
    std::map<std::string, std::vector<PairedStatistics*>> by_reference;
    for (const size_t r : family) {
      for (PairedStatistics& paired : rows[r].comparisons) {
        if (paired.test) by_reference[paired.id].push_back(&paired);
      }
    }
    for (auto& [id, tests] : by_reference) {
      std::vector<double> p;
      for (const PairedStatistics* paired : tests) p.push_back(paired->test->p);
      const std::vector<double> adjusted = HolmAdjusted(p);
      for (size_t i = 0; i < tests.size(); ++i) tests[i]->holm_p = adjusted[i];
    }
  }

  void AddMean(const Measurement& cell, const NamedMean& mean,
               const std::vector<TaskScores>& scores, const std::vector<Reference>& references,
               std::vector<StatisticsRow>& rows) {
    const auto value = MeanOfScores(mean, scores);
    const auto outcomes = OutcomesOfMean(mean, scores);
    if (!value || !outcomes) return;
    StatisticsRow row{.protocol = value->protocol,
                      .task = mean.id,
                      .metric = "mean",
                      .value = value->value,
                      .standard_error = value->standard_error};
    row.interval = BootstrapMeanOfMeans(*outcomes, Bootstrap("bootstrap " + mean.id));
    row.interval_method = "bootstrap";
    for (const Reference& reference : references) {
      const auto& other = ScoresOfReference(*reference.cell, value->protocol);
      if (!MeanOfScores(mean, other)) continue;
      const MeanComparison compared =
          CompareMeans(mean, other, scores, Comparison(cell, reference)).value();
      row.comparisons.push_back({.against = reference.name,
                                 .id = reference.cell->id,
                                 .difference = compared.difference,
                                 .standard_error = compared.standard_error,
                                 .interval = compared.interval});
      if (!reference.cell->dense) continue;
      row.comparisons.back().retention = compared.retention;
      row.comparisons.back().retention_above_chance = compared.chance_corrected_retention;
    }
    rows.push_back(std::move(row));
  }

  // --- Texts: perplexity and agreement ---

  void AddTexts(const Measurement& cell, const std::string& protocol,
                const std::vector<Reference>& references, std::vector<StatisticsRow>& rows) {
    for (const MetricValue& value : cell.values) {
      if (value.protocol != protocol || !value.task.empty()) continue;
      if (!Chosen(options_.metrics, value.metric)) continue;
      // Of pages, by words and bytes; the sums of pages of unequal length are not resampled.
      const bool per_byte =
          EndsWith(value.metric, "_perplexity") || value.metric == "bits_per_byte";
      if (value.metric == "perplexity") rows.push_back(TextRow(cell, value, references));
      if (per_byte) rows.push_back(StoredRow(value, StatisticsRow::Group::kPerplexity));
      const bool agreement = StartsWith(protocol, "agree-") && value.metric != "vocabulary_cut";
      if (agreement) rows.push_back(AgreementRow(cell, value));
    }
  }

  StatisticsRow TextRow(const Measurement& cell, const MetricValue& value,
                        const std::vector<Reference>& references) {
    StatisticsRow row = StoredRow(value, StatisticsRow::Group::kPerplexity);
    const auto windows = scores_.Windows(cell.id, value.protocol, "window_nll");
    if (!windows) return row;
    row.nll = MeanOf(windows->losses);
    row.standard_error = value.value * StandardErrorOfMean(windows->losses);
    const Interval interval =
        BlockBootstrapMean(windows->losses, 0, Bootstrap("bootstrap perplexity"));
    row.interval = {std::exp(interval.low), std::exp(interval.high)};
    row.interval_method = "block bootstrap";
    for (const Reference& reference : references) {
      const auto other = scores_.Windows(reference.cell->id, value.protocol, "window_nll");
      // Another model's tokenizer makes other windows.
      if (!other || !AgreesIn({"model"}, cell, *reference.cell)) continue;
      row.comparisons.push_back(
          OfLosses(reference, CompareLosses(*other, *windows, 0, Comparison(cell, reference))));
    }
    return row;
  }

  StatisticsRow AgreementRow(const Measurement& cell, const MetricValue& value) {
    StatisticsRow row = StoredRow(value, StatisticsRow::Group::kAgreement);
    const std::map<std::string, std::string> series = {
        {"kl_mean", "window_kl"}, {"top1_agree", "window_top1"}, {"nll_diff", "window_nll_diff"}};
    const auto name = series.find(value.metric);
    if (name == series.end()) return row;
    const auto windows = scores_.Windows(cell.id, value.protocol, name->second);
    if (!windows) return row;
    row.interval = BlockBootstrapMean(
        windows->losses, 0, Bootstrap("block bootstrap " + value.protocol + " " + value.metric));
    row.interval_method = "block bootstrap";
    return row;
  }

  static PairedStatistics OfLosses(const Reference& reference, const LossComparison& compared) {
    return {.against = reference.name,
            .id = reference.cell->id,
            .difference = compared.mean_difference,
            .standard_error = compared.standard_error,
            .interval = compared.interval,
            .ratio = compared.ratio,
            .ratio_interval = compared.ratio_interval};
  }

  BootstrapOptions Bootstrap(const std::string& purpose) const {
    return {.draws = options_.draws, .purpose = purpose};
  }
  ComparisonOptions Comparison(const Measurement& cell, const Reference& reference) const {
    return {.reference_name = reference.name, .other_name = cell.id, .draws = options_.draws};
  }

  static constexpr size_t kKeptReferences = 4;
  const std::vector<Measurement>& measurements_;
  StoredScores& scores_;
  const StatisticsOptions& options_;
  std::map<std::pair<std::string, std::string>, std::vector<TaskScores>> references_;
};

void RequireKnown(const char* what, const Names& wanted, const std::set<std::string>& known) {
  const Names names(known.begin(), known.end());
  for (const std::string& name : wanted) {
    if (known.contains(name)) continue;
    throw MakeError<ConfigError>("no cell has results of the {} '{}'{}", what, name,
                                 SuggestName(name, names));
  }
}

void RequireKnownNames(const std::vector<Measurement>& measurements,
                       const StatisticsOptions& options) {
  std::set<std::string> protocols, tasks, metrics, methods;
  for (const Measurement& measurement : measurements) {
    methods.insert(measurement.keys.at("method"));
    for (const MetricValue& value : measurement.values) {
      protocols.insert(value.protocol);
      metrics.insert(value.metric);
      if (IsAccuracy(value.metric) || value.metric == "ppl") tasks.insert(value.task);
    }
  }
  for (const NamedMean& mean : NamedMeans()) metrics.insert(mean.id);
  RequireKnown("protocol", options.protocols, protocols);
  RequireKnown("task", options.tasks, tasks);
  RequireKnown("metric", options.metrics, metrics);
  if (!options.baseline.empty()) RequireKnown("method", {options.baseline}, methods);
}

}  // namespace

std::vector<CellStatistics> ComputeStatistics(const std::vector<Measurement>& measurements,
                                              StoredScores& scores,
                                              const StatisticsOptions& options) {
  RequireKnownNames(measurements, options);
  Reporter reporter(measurements, scores, options);
  std::vector<CellStatistics> statistics;
  for (const Measurement& cell : measurements) {
    if (Chosen(options.cells, cell.id)) statistics.push_back(reporter.Report(cell));
  }
  return statistics;
}

}  // namespace condense
