// Raw scores from the results database.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/statistics/scores.h"
#include "results/results_store.h"
#include "stats/comparison.h"
#include "stats/task_scores.h"

namespace condense {

class StoredScores final : public ScoreSource {
 public:
  explicit StoredScores(const ResultsStore& store) : store_(store) {}  // must outlive this

  // `id` is the fingerprint of a run. None where no scores are stored.
  std::optional<TaskScores> Task(const std::string& id, const std::string& protocol,
                                 const std::string& task);
  // The means of windows that are stored under a name such as "window_nll".
  std::optional<WindowLosses> Windows(const std::string& id, const std::string& protocol,
                                      const std::string& name);
  // Results are cached.
  std::optional<ScoreSeries> Find(const std::string& id, const MetricValue& value) override;

 private:
  const MetricRecord* Metric(const std::string& id, const std::string& protocol,
                             const std::string& task);
  std::optional<ScoreSeries> Load(const std::string& id, const MetricValue& value);

  const ResultsStore& store_;
  std::map<std::string, std::vector<MetricRecord>> metrics_;  // by run
  std::map<std::vector<std::string>, std::optional<ScoreSeries>> found_;
};

}  // namespace condense
