// The raw scores behind the numbers of a table, for what a number alone cannot tell: whether two
// cells differ by more than paired noise, and whether an accuracy is worth anything.
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
    kWindows,         // a mean of each window; neighbours are correlated
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
  // Of the measurement with this id; none where no scores are kept or the metric has none.
  virtual std::optional<ScoreSeries> Find(const std::string& id, const MetricValue& value) = 0;
};

// What a flag means, as a footnote.
std::string DescribeFlag(const std::string& flag);

// Series of one cell: one, or one for each task of a mean. Whether the difference of two cells may
// be paired noise: McNemar's p above 0.05 for outcomes of one task, else zero inside the 95%
// bootstrap interval of the difference (block bootstrap for windows). False if they cannot be
// paired.
bool WithinPairedNoise(const std::vector<ScoreSeries>& a, const std::vector<ScoreSeries>& b);

}  // namespace condense
