// Scores of documents or windows, averaged over the cells that a row of `runner stats` stands for.
// A cell alone is an average of one.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "report/statistics/scores.h"
#include "report/statistics/statistics.h"
#include "stats/comparison.h"

namespace condense {

using Cells = std::vector<const Measurement*>;

// A row of the report: one metric, or the mean of several tasks.
struct Quantity {
  StatisticsRow::Group group = StatisticsRow::Group::kAccuracy;
  std::string protocol, task, metric;
  std::vector<MetricValue> sources;  // of a mean: one for each task, without values
  bool IsMean() const { return sources.size() > 1; }
};

struct AveragedScores {
  ScoreSeries::Kind kind = ScoreSeries::Kind::kOutcomes;
  std::vector<std::string> bases;  // one for each group
  ScoreGroups groups;
  std::vector<std::string> flags;  // of one cell and one task
  std::vector<double> chances;     // expected accuracy of guessing, one for each group
};

class ScoreAverager {
 public:
  explicit ScoreAverager(ScoreSource& scores) : scores_(scores) {}  // must outlive this

  // None where a cell has no scores, or has them of other documents or windows than the others;
  // what some of them lack is warned of, once.
  std::optional<AveragedScores> Average(const Cells& cells, const Quantity& quantity);

 private:
  std::optional<ScoreSeries> SeriesOf(const Measurement& cell, const MetricValue& source);
  void WarnOnce(const Quantity& quantity, const Measurement& cell, const std::string& why);

  ScoreSource& scores_;
  std::set<std::string> warned_;
};

}  // namespace condense
