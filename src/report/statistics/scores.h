// The raw scores behind the numbers of a table. They tell whether two cells differ significantly,
// and whether an accuracy is better than guessing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/tables/table.h"

namespace condense {

struct ScoreSeries {
  enum class Kind {
    kOutcomes,        // 1 or 0 for each document
    kDocumentLosses,  // nats
    kWindows,         // the mean of each window; neighbours are correlated
  };
  Kind kind = Kind::kOutcomes;
  std::string basis;               // digest of what was scored; only equal ones can be paired
  std::vector<double> values;      // in the order of the documents or windows
  std::vector<std::string> flags;  // protocols.md 3.9: "chance", ...
  double chance = 0;               // of outcomes: expected accuracy of guessing
};

class ScoreSource {
 public:
  virtual ~ScoreSource() = default;
  // Of the measurement with this id; none where no scores are stored or the metric has none.
  virtual std::optional<ScoreSeries> Find(const std::string& id, const MetricValue& value) = 0;
};

// The meaning of a flag, as a footnote.
std::string DescribeFlag(const std::string& flag);

// Whether two cells do not differ significantly: McNemar's p above 0.05 for outcomes of one task,
// else zero inside the 95% bootstrap interval of the paired difference (block bootstrap for
// windows). A cell has one series, or one per task of a mean. False if they cannot be paired.
bool WithinPairedNoise(const std::vector<ScoreSeries>& a, const std::vector<ScoreSeries>& b);

}  // namespace condense
