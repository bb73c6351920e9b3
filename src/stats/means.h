// The named means over tasks (protocols.md 3.6), chance levels and retention.
//
// A mean is the unweighted mean of task values. It exists only where every task was scored under
// the same protocol. Tasks are matched by their full name: "hellaswag-sample1000" and
// "arc_easy@first-100" are not "hellaswag" and "arc_easy" and are part of no mean.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stats/task_scores.h"

namespace condense {

struct MeanTerm {
  std::string task;
  TaskMetric metric = TaskMetric::kAcc;
};

struct NamedMean {
  std::string id;  // "mean5"
  std::vector<MeanTerm> terms;
};

// The metric of every named mean: an accuracy, which is computed from stored metrics and not
// stored.
const Metric& MeanMetric();

const std::vector<NamedMean>& NamedMeans();
// ConfigError with the nearest id when there is none.
const NamedMean& FindMean(std::string_view id);

// A task's value as the database has it.
struct StoredTaskValue {
  std::string protocol, task;
  std::string metric;  // as StoredName() says
  double value = 0, standard_error = 0;
};

struct MeanValue {
  std::string id, protocol;
  double value = 0;
  double standard_error = 0;  // sqrt(sum se^2) / number of tasks
};

// All named means whose tasks are complete, by protocol in the order of `values`. DataError when
// one metric of one task occurs twice with different values.
std::vector<MeanValue> CompleteMeans(std::span<const StoredTaskValue> values);

// Expected accuracy of guessing on the whole task as published; none for a task without choices and
// for unknown ones (ChanceLevel() computes it from any scores).
std::optional<double> KnownChanceLevel(std::string_view task);
// The mean of the tasks' chance levels.
double ChanceLevel(const NamedMean& mean);

// 100 value / dense; none where dense is 0.
std::optional<double> Retention(double value, double dense);
// 100 (value - chance) / (dense - chance); none where dense is not above chance.
std::optional<double> ChanceCorrectedRetention(double value, double dense, double chance);

}  // namespace condense
