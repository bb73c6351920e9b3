// A model's scores on the documents of a task, and the metrics that follow from them
// (protocols.md 3.3, 3.7). They can be recomputed without the model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stats/metric.h"

namespace condense {

// One choice of one document.
struct ChoiceScore {
  double log_likelihood = 0;  // nats, summed over the continuation
  int64_t tokens = 0;         // ids of the continuation
  int64_t code_points = 0;    // of the choice's text, without the space in front
  int64_t bytes = 0;          // the same in UTF-8
  bool greedy = false;        // every id of the continuation is the argmax of its position
};

struct DocumentScore {
  int64_t index = 0;   // place in the task's file, from 0
  std::string sha256;  // of the document's requests
  int64_t gold = 0;    // the right choice; 0 where there is only one
  std::vector<ChoiceScore> choices;
  bool truncated = false;  // the context was cut on its left
};

struct TaskScores {
  std::string task;             // "arc_easy"; "arc_easy@first-100" for a part of it
  std::string protocol;         // "lmeval-bos"
  std::string requests_sha256;  // over all requests; scores of different ones never compare
  bool fixed_choices = false;   // the choices' positions have a meaning (no, yes)
  std::vector<DocumentScore> documents;  // ascending index
};

// acc:       the likeliest choice is the gold one
// acc_norm:  ... by log-likelihood per code point      acc_bytes: per byte     acc_tok: per id
// greedy:    every id of the one choice is the argmax (LAMBADA's accuracy)
// ppl:       exp(-mean log-likelihood of the one choice)
enum class TaskMetric { kAcc, kAccNorm, kAccBytes, kAccTok, kGreedy, kPerplexity };
// The metric under which it is stored: greedy is stored as "acc", as in lm-evaluation-harness.
const Metric& StoredMetric(TaskMetric metric);
inline const std::string& StoredName(TaskMetric metric) { return StoredMetric(metric).name; }
// The metric behind a stored name: "acc" of a task with one choice a document is kGreedy.
std::optional<TaskMetric> MetricNamed(std::string_view stored, const TaskScores& scores);

// The choice that a metric selects; ties go to the lowest index. Not for kGreedy and kPerplexity.
int64_t Prediction(const DocumentScore& document, TaskMetric metric);
// 1 or 0 per document; the log-likelihood for kPerplexity.
std::vector<double> Outcomes(const TaskScores& scores, TaskMetric metric);

struct TaskValue {
  double value = 0;
  double standard_error = 0;  // sample deviation / sqrt(n); perplexity: by the delta method
  int64_t count = 0;
};
TaskValue ValueOf(const TaskScores& scores, TaskMetric metric);

// Expected accuracy of guessing: the mean of 1 / choices.
double ChanceLevel(const TaskScores& scores);
// The share of the most frequent gold index.
double MajorityShare(const TaskScores& scores);

// Flags of protocols.md 3.9 that apply: "majority_class", "chance", "below_chance".
std::vector<std::string> FlagsOf(const TaskScores& scores, TaskMetric metric);

}  // namespace condense
