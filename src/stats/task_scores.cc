#include "stats/task_scores.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "stats/intervals.h"

namespace condense {
namespace {

const Metric& Accuracy(std::string name, std::string label) {
  return RegisterMetric({.name = std::move(name),
                         .unit = "fraction",
                         .format = {NumberFormat::Style::kPercent, 2},
                         .better = Better::kHigher,
                         .label = std::move(label),
                         .kind = Metric::Kind::kTaskAccuracy});
}
const Metric& kAccuracy = Accuracy("acc", "accuracy");
const Metric& kAccuracyPerCodePoint = Accuracy("acc_norm", "accuracy");
const Metric& kAccuracyPerByte = Accuracy("acc_bytes", "accuracy, scores per byte");
const Metric& kAccuracyPerToken = Accuracy("acc_tok", "accuracy, scores per token");
const Metric& kTaskPerplexity = RegisterMetric({.name = "ppl",
                                                .format = {NumberFormat::Style::kFixed, 2, true},
                                                .better = Better::kLower,
                                                .label = "perplexity",
                                                .kind = Metric::Kind::kTaskPerplexity});

// In a task whose choices have fixed meanings, this share of equal predictions is a collapse.
constexpr double kMajorityPredictions = 0.95;

double Divisor(const ChoiceScore& choice, TaskMetric metric) {
  switch (metric) {
    case TaskMetric::kAccNorm:
      return static_cast<double>(choice.code_points);
    case TaskMetric::kAccBytes:
      return static_cast<double>(choice.bytes);
    case TaskMetric::kAccTok:
      return static_cast<double>(choice.tokens);
    default:
      return 1;
  }
}

bool TakesAChoice(TaskMetric metric) {
  return metric != TaskMetric::kGreedy && metric != TaskMetric::kPerplexity;
}

double LargestShare(const std::map<int64_t, int64_t>& counts, size_t total) {
  int64_t largest = 0;
  for (const auto& [value, count] : counts) largest = std::max(largest, count);
  return total == 0 ? 0 : static_cast<double>(largest) / static_cast<double>(total);
}

}  // namespace

const Metric& StoredMetric(TaskMetric metric) {
  switch (metric) {
    case TaskMetric::kAcc:
    case TaskMetric::kGreedy:
      return kAccuracy;
    case TaskMetric::kAccNorm:
      return kAccuracyPerCodePoint;
    case TaskMetric::kAccBytes:
      return kAccuracyPerByte;
    case TaskMetric::kAccTok:
      return kAccuracyPerToken;
    case TaskMetric::kPerplexity:
      break;
  }
  return kTaskPerplexity;
}

std::optional<TaskMetric> MetricNamed(std::string_view stored, const TaskScores& scores) {
  const bool single =
      std::all_of(scores.documents.begin(), scores.documents.end(),
                  [](const auto& document) { return document.choices.size() == 1; });
  const std::vector<TaskMetric> known =
      single ? std::vector{TaskMetric::kGreedy, TaskMetric::kPerplexity}
             : std::vector{TaskMetric::kAcc, TaskMetric::kAccNorm, TaskMetric::kAccBytes,
                           TaskMetric::kAccTok};
  for (const TaskMetric metric : known) {
    if (StoredName(metric) == stored) return metric;
  }
  return std::nullopt;
}

int64_t Prediction(const DocumentScore& document, TaskMetric metric) {
  CONDENSE_CHECK(TakesAChoice(metric) && !document.choices.empty(), "{} takes no choice",
                 StoredName(metric));
  size_t best = 0;
  const auto value = [&](size_t c) {
    return document.choices[c].log_likelihood / Divisor(document.choices[c], metric);
  };
  for (size_t c = 1; c < document.choices.size(); ++c) {
    if (value(c) > value(best)) best = c;
  }
  return static_cast<int64_t>(best);
}

std::vector<double> Outcomes(const TaskScores& scores, TaskMetric metric) {
  std::vector<double> outcomes;
  outcomes.reserve(scores.documents.size());
  for (const DocumentScore& document : scores.documents) {
    if (TakesAChoice(metric)) {
      outcomes.push_back(Prediction(document, metric) == document.gold ? 1 : 0);
    } else {
      const ChoiceScore& choice = document.choices.at(0);
      outcomes.push_back(metric == TaskMetric::kGreedy ? (choice.greedy ? 1 : 0)
                                                       : choice.log_likelihood);
    }
  }
  return outcomes;
}

TaskValue ValueOf(const TaskScores& scores, TaskMetric metric) {
  const std::vector<double> outcomes = Outcomes(scores, metric);
  TaskValue result{.value = MeanOf(outcomes),
                   .standard_error = StandardErrorOfMean(outcomes),
                   .count = static_cast<int64_t>(outcomes.size())};
  if (metric == TaskMetric::kPerplexity) {
    result.value = std::exp(-result.value);
    result.standard_error *= result.value;  // d exp(-m) = exp(-m) dm
  }
  return result;
}

double ChanceLevel(const TaskScores& scores) {
  std::vector<double> chances;
  for (const DocumentScore& document : scores.documents) {
    chances.push_back(1.0 / static_cast<double>(document.choices.size()));
  }
  return MeanOf(chances);
}

double MajorityShare(const TaskScores& scores) {
  std::map<int64_t, int64_t> golds;
  for (const DocumentScore& document : scores.documents) ++golds[document.gold];
  return LargestShare(golds, scores.documents.size());
}

std::vector<std::string> FlagsOf(const TaskScores& scores, TaskMetric metric) {
  std::vector<std::string> flags;
  if (!TakesAChoice(metric) || scores.documents.empty()) return flags;
  const TaskValue value = ValueOf(scores, metric);
  std::map<int64_t, int64_t> predictions;
  for (const DocumentScore& document : scores.documents)
    ++predictions[Prediction(document, metric)];
  const bool collapsed = scores.fixed_choices &&
                         LargestShare(predictions, scores.documents.size()) >= kMajorityPredictions;
  if (collapsed || (scores.fixed_choices && value.value == MajorityShare(scores))) {
    flags.emplace_back("majority_class");
  }
  const auto count = static_cast<double>(value.count);
  const Interval wilson = WilsonInterval(std::round(value.value * count), value.count);
  const double chance = ChanceLevel(scores);
  if (wilson.Contains(chance)) flags.emplace_back("chance");
  if (wilson.high < chance) flags.emplace_back("below_chance");
  return flags;
}

}  // namespace condense
