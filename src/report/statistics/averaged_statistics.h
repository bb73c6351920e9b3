// Statistics of averages: what each document or window says is averaged over the cells that differ
// in some keys alone, such as the draws of a calibration set, and the averages are compared in
// pairs. A single draw may be ahead by luck; the average over draws is what a table prints.
#pragma once

#include <string>
#include <vector>

#include "report/statistics/statistics.h"

namespace condense {

struct AveragedStatistics {
  // One for each average. A key that was averaged over says over how many values: "mean of 3".
  std::vector<Measurement> cells;
  std::vector<CellStatistics> statistics;  // points into `cells`
};

// over: one or more of "seed", "calibration", "ratio", "model", "dtype". A comparison is made where
// each cell of an average has its reference. Perplexities are averaged as losses: a geometric mean.
// What a cell has no scores of, or of other data (windows of another tokenizer), is left out with a
// warning. ConfigError as ComputeStatistics, and for other keys.
AveragedStatistics ComputeAveragedStatistics(const std::vector<Measurement>& measurements,
                                             ScoreSource& scores, const StatisticsOptions& options,
                                             const std::vector<std::string>& over);

}  // namespace condense
