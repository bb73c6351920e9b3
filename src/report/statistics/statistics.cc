#include "report/statistics/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "report/statistics/statistics_selection.h"
#include "stats/means.h"

namespace condense {
namespace {

using Kind = Metric::Kind;

class Reporter {
 public:
  Reporter(const StatisticsSelection& selection, StoredScores& scores)
      : selection_(selection), options_(selection.options()), scores_(scores) {}

  CellStatistics Report(const Measurement& cell) {
    CellStatistics result{&cell, {}};
    const std::vector<Reference> references = selection_.ReferencesOf(cell);
    for (const std::string& protocol : selection_.ProtocolsOf(cell)) {
      AddTasks(cell, protocol, references, result.rows);
      AddTexts(cell, protocol, references, result.rows);
    }
    return result;
  }

 private:
  // --- Tasks ---

  std::vector<TaskScores> ScoresOf(const Measurement& cell, const std::string& protocol) {
    std::vector<TaskScores> scores;
    std::set<std::string> seen;
    for (const MetricValue& value : cell.values) {
      if (value.protocol != protocol || value.task.empty()) continue;
      if (KindOf(value) != Kind::kTaskAccuracy && KindOf(value) != Kind::kTaskPerplexity) continue;
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
      if (value.protocol != protocol || !selection_.ReportsTask(cell, value)) continue;
      const TaskScores* task = FindScores(scores, value.task);
      const auto metric = task == nullptr ? std::nullopt : MetricNamed(value.metric, *task);
      if (!metric) {
        const bool ppl = KindOf(value) == Kind::kTaskPerplexity;
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
      if (selection_.ReportsMean(mean.id)) AddMean(cell, mean, scores, references, rows);
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
                      .metric = StoredName(metric),
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
                      .metric = MeanMetric().name,
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
      if (value.protocol != protocol || !selection_.ReportsText(value)) continue;
      const Kind kind = KindOf(value);
      if (kind == Kind::kTextPerplexity) rows.push_back(TextRow(cell, value, references));
      if (kind == Kind::kAgreement) rows.push_back(AgreementRow(cell, value, references));
    }
  }

  StatisticsRow TextRow(const Measurement& cell, const MetricValue& value,
                        const std::vector<Reference>& references) {
    StatisticsRow row = StoredRow(value, StatisticsRow::Group::kPerplexity);
    // Of pages, by words and bytes, there are none: sums of pages of unequal length are not resampled.
    const std::string series = DescribeMetric(value.metric, value.unit).series;
    if (series.empty()) return row;
    const auto windows = scores_.Windows(cell.id, value.protocol, series);
    if (!windows) return row;
    row.nll = MeanOf(windows->losses);
    row.standard_error = value.value * StandardErrorOfMean(windows->losses);
    const Interval interval =
        BlockBootstrapMean(windows->losses, 0, Bootstrap("bootstrap perplexity"));
    row.interval = {std::exp(interval.low), std::exp(interval.high)};
    row.interval_method = "block bootstrap";
    for (const Reference& reference : references) {
      const auto other = scores_.Windows(reference.cell->id, value.protocol, series);
      // Another model's tokenizer makes other windows.
      if (!other || !AgreesIn({"model"}, cell, *reference.cell)) continue;
      row.comparisons.push_back(
          OfLosses(reference, CompareLosses(*other, *windows, 0, Comparison(cell, reference))));
    }
    return row;
  }

  StatisticsRow AgreementRow(const Measurement& cell, const MetricValue& value,
                             const std::vector<Reference>& references) {
    StatisticsRow row = StoredRow(value, StatisticsRow::Group::kAgreement);
    const std::string series = DescribeMetric(value.metric, value.unit).series;
    if (series.empty()) return row;
    const auto windows = scores_.Windows(cell.id, value.protocol, series);
    if (!windows) return row;
    row.interval = BlockBootstrapMean(
        windows->losses, 0, Bootstrap("block bootstrap " + value.protocol + " " + value.metric));
    row.interval_method = "block bootstrap";
    for (const Reference& reference : references) {
      // The dense model agrees with itself: what differs from it is the value.
      if (reference.cell->dense || !AgreesIn({"model"}, cell, *reference.cell)) continue;
      const auto other = scores_.Windows(reference.cell->id, value.protocol, series);
      if (!other) continue;
      row.comparisons.push_back(
          OfLosses(reference, CompareLosses(*other, *windows, 0, Comparison(cell, reference))));
      row.comparisons.back().ratio.reset();
      row.comparisons.back().ratio_interval.reset();
    }
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
  const StatisticsSelection& selection_;
  const StatisticsOptions& options_;
  StoredScores& scores_;
  std::map<std::pair<std::string, std::string>, std::vector<TaskScores>> references_;
};

}  // namespace

std::vector<CellStatistics> ComputeStatistics(const std::vector<Measurement>& measurements,
                                              StoredScores& scores,
                                              const StatisticsOptions& options) {
  const StatisticsSelection selection(measurements, options);
  Reporter reporter(selection, scores);
  std::vector<CellStatistics> statistics;
  for (const Measurement& cell : measurements) {
    if (selection.ReportsCell(cell)) statistics.push_back(reporter.Report(cell));
  }
  return statistics;
}

}  // namespace condense
