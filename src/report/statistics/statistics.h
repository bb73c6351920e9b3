// What the stored scores say about each cell and about pairs of cells, with no model
// (protocols.md 3.3, 3.8, 3.9): values with intervals and flags, and paired comparisons with the
// dense model and with a baseline.
//
// Scores of documents and windows may be averaged over cells first, such as over the seeds of a
// calibration set: a single seed may be ahead by luck, and the average is what a table prints. A
// cell is an average of one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "report/statistics/stored_scores.h"
#include "report/tables/table.h"
#include "stats/intervals.h"

namespace condense {

struct StatisticsOptions {
  // What is reported; an empty list stands for everything. Names that nothing has are refused.
  std::vector<std::string> protocols, tasks;
  // Metrics and ids of means. When empty: of each task the accuracy that the usual mean takes
  // (acc_norm where there is one), perplexities, agreement, and the means that are complete.
  std::vector<std::string> metrics;
  std::vector<std::string> cells;  // ids of the measurements to report; the others are references
  // A method, as the key "method" has it: cells that agree in all other keys are compared with it.
  std::string baseline;
  std::string reference;  // id of a measurement with which all are compared, instead of the dense
  // Keys over which scores are averaged: "seed", "calibration", "ratio", "model", "dtype".
  // Perplexities are averaged as losses: a geometric mean. Empty: every cell alone.
  std::vector<std::string> average;
  int64_t draws = 10000;
};

// Another cell minus the reference, on the same documents or windows.
struct PairedStatistics {
  std::string against, id;  // "dense", the baseline's method or the reference's id; and the runs
  double difference = 0;    // of perplexities: of the mean losses
  double standard_error = 0;
  Interval interval;             // 95%, bootstrap
  std::optional<McNemar> test;   // of single tasks of single cells
  std::optional<double> holm_p;  // over the tasks of this cell that are reported together
  std::optional<double> ratio;   // of perplexities
  std::optional<Interval> ratio_interval;
  std::optional<double> retention, retention_above_chance;  // percent of the dense accuracy
};

struct StatisticsRow {
  enum class Group { kAccuracy, kPerplexity, kAgreement };
  Group group = Group::kAccuracy;
  std::string protocol, task, metric;  // of a mean: its id and "mean"
  double value = 0;
  std::optional<double> standard_error;
  std::optional<int64_t> count;
  std::optional<Interval> interval;  // 95%
  std::string interval_method;       // "wilson", "bootstrap", "block bootstrap"
  std::optional<double> nll;         // of perplexities
  std::vector<std::string> flags;
  std::vector<PairedStatistics> comparisons;
};

struct CellStatistics {
  std::string id;  // of the measurement, or of all behind an average
  // A key that was averaged over says over how many values: "mean of 3".
  std::map<std::string, std::string> keys;
  std::vector<StatisticsRow> rows;
};

// An average is compared where each of its cells has its reference. What a cell of an average has
// no scores of, or of other data (windows of another tokenizer), is left out with a warning.
// ConfigError for names that are not there and for keys that cannot be averaged over; without
// averages, DataError where the documents or windows behind one name differ.
std::vector<CellStatistics> ComputeStatistics(const std::vector<Measurement>& measurements,
                                              StoredScores& scores,
                                              const StatisticsOptions& options);

std::string StatisticsToText(const std::vector<CellStatistics>& statistics);
std::string StatisticsToCsv(const std::vector<CellStatistics>& statistics);
std::string StatisticsToJson(const std::vector<CellStatistics>& statistics);  // one line

}  // namespace condense
