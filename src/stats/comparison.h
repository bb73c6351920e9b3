// Paired comparison of two models on the same documents or windows (protocols.md 1.2, 3.8).
//
// Differences are other - reference; with the dense model as reference a loss is negative. Whatever
// was not scored on the same things is refused: ConfigError when other tasks, metrics or protocols
// were asked for, DataError when the texts behind one name differ.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stats/intervals.h"
#include "stats/means.h"
#include "stats/task_scores.h"

namespace condense {

struct ComparisonOptions {
  std::string reference_name = "the reference", other_name = "the other";  // in messages
  uint64_t seed = 0;
  int64_t draws = 10000;
};

struct TaskComparison {
  std::string task;
  TaskMetric metric = TaskMetric::kAcc;
  TaskValue reference, other;
  double difference = 0;
  double standard_error = 0;  // of the paired differences
  Interval interval;          // 95%, paired bootstrap
  McNemar test;
  double holm_p = 1;  // test.p corrected over the tasks compared together
};

// For metrics that are 0 or 1 for a document; kPerplexity: CompareLikelihoods.
TaskComparison CompareTask(const TaskScores& reference, const TaskScores& other, TaskMetric metric,
                           const ComparisonOptions& options = {});
// Holm's correction runs over `terms`. ConfigError for a task that one side lacks.
std::vector<TaskComparison> CompareTasks(std::span<const TaskScores> reference,
                                         std::span<const TaskScores> other,
                                         std::span<const MeanTerm> terms,
                                         const ComparisonOptions& options = {});

struct MeanComparison {
  MeanValue reference, other;
  double difference = 0;
  double standard_error = 0;  // sqrt(sum of the tasks' squared) / number of tasks
  Interval interval;          // 95%, documents resampled in pairs within each task
  std::optional<double> retention, chance_corrected_retention;  // percent
};
// None when neither side has all tasks of the mean; ConfigError when only one has them.
std::optional<MeanComparison> CompareMeans(const NamedMean& mean,
                                           std::span<const TaskScores> reference,
                                           std::span<const TaskScores> other,
                                           const ComparisonOptions& options = {});

// Mean losses of windows, in the order of the text.
struct WindowLosses {
  std::string protocol;    // "wikitext2-2048"
  std::string ids_sha256;  // of the scored ids
  std::vector<double> losses;
};

struct LossComparison {
  int64_t count = 0;
  double mean_difference = 0;
  double standard_error = 0;
  Interval interval;        // 95%, block bootstrap
  double ratio = 1;         // exp of the mean difference: the ratio of the perplexities
  Interval ratio_interval;  // exp of the interval
};

// Neighbouring windows are correlated: `block` as in BlockBootstrapMean.
LossComparison CompareLosses(const WindowLosses& reference, const WindowLosses& other,
                             int64_t block = 0, const ComparisonOptions& options = {});
// kPerplexity of two TaskScores; documents are independent.
LossComparison CompareLikelihoods(const TaskScores& reference, const TaskScores& other,
                                  const ComparisonOptions& options = {});

// Throws unless both are scores of the same requests of the same documents under one protocol.
void RequireComparable(const TaskScores& reference, const TaskScores& other,
                       const ComparisonOptions& options);

}  // namespace condense
