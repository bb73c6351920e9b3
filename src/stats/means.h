// The named means over tasks (protocols.md 3.6) as data, and what is reported beside them.
//
// A mean is the plain mean of task values and exists only where every task was scored under one
// protocol. Tasks are matched by their whole name: "hellaswag-sample1000" and "arc_easy@first-100"
// are other tasks than "hellaswag" and "arc_easy" and enter no mean.
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

// What every named mean is: an accuracy. It is computed from stored metrics, not stored.
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

// Every named mean all of whose tasks are present, protocol by protocol in the order of `values`.
// DataError when one metric of one task is there twice with different values.
std::vector<MeanValue> CompleteMeans(std::span<const StoredTaskValue> values);

// Expected accuracy of guessing on the whole task as published; none for a task without choices and
// for unknown ones (ChanceLevel() computes it from any scores).
std::optional<double> KnownChanceLevel(std::string_view task);
// The mean of the tasks' chance levels.
double ChanceLevel(const NamedMean& mean);

// 100 value / dense; none where dense is 0.
std::optional<double> Retention(double value, double dense);
// 100 (value - chance) / (dense - chance); none where dense is not above chance, because the share
// of nothing means nothing.
std::optional<double> ChanceCorrectedRetention(double value, double dense, double chance);

}  // namespace condense
