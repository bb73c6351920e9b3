// A table: where each measurement goes, and what is printed there.
//
// BuildTable() rejects misleading tables (protocols.md 0.1): a column that mixes two protocols, two
// kinds of ratio, values scored on different data, or whole tasks and parts of them; and two
// different measurements in one place. It does not depend on the database or on models:
// measurements come from measurements.h, the raw scores behind them from scores.h.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/number_format.h"

namespace condense {

struct MetricValue {
  std::string metric, protocol, task;
  double value = 0;
  std::string basis;  // digest of what was scored; empty if unknown
  std::optional<double> standard_error;
  std::optional<int64_t> count;  // of documents or windows
  std::string unit;
};

// One run: its keys (model, method, ratio, seed, ...) and its values. A key that does not apply
// (the ratio of a dense model) is absent.
struct Measurement {
  enum class Status { kMissing, kDone, kFailed };
  std::string id;  // fingerprint of the run
  std::map<std::string, std::string> keys;
  std::string method;  // registered name; the key of this name may be a label
  bool dense = false;  // relative values are divided by its values
  Status status = Status::kMissing;
  std::string error_class, error_message;
  std::vector<MetricValue> values;
};
// Empty where the key does not apply.
std::string KeyOf(const Measurement& measurement, const std::string& key);

struct MetricSelector {
  std::string metric;
  std::string protocol;  // empty: the only one there is
  std::string task;      // or a part of it ("arc_easy@first-100") where only that was scored
  // Id of a mean over tasks (stats/means.h), instead of metric and task. It exists where every task
  // was scored under the same protocol.
  std::string mean;
};

// The metric that a selector names: the catalogue's entry, or for a metric of another version of
// the program what follows from its stored unit.
Metric MetricOf(const MetricSelector& select, const std::vector<Measurement>& measurements = {});

struct ValueColumn {
  enum class Kind {
    kValue,
    kRelativeToDense,      // value / dense
    kRetention,            // 100 value / dense
    kRetentionAboveChance  // 100 (value - chance) / (dense - chance)
  };
  MetricSelector select;
  std::string heading;  // empty: the mean, task or metric
  Kind kind = Kind::kValue;
  bool show_error = false;             // the standard error, in brackets
  bool show_deviation = false;         // over seeds, instead of the interval
  std::optional<NumberFormat> format;  // default: by metric and kind
};

struct TableSpec {
  enum class Best { kNone, kPerColumn };
  std::string noun = "table";  // in messages
  std::string title;
  std::vector<std::string> rows, columns;  // keys; without column keys each cell is one column
  std::vector<ValueColumn> cells;          // usually one
  std::vector<ValueColumn> extra;          // printed after the cells, never marked as best
  // Where raw scores are stored, values that do not differ significantly from the best are marked
  // too (protocols.md 3.8).
  Best best = Best::kPerColumn;
  // The row keys over which values compete for the best mark; default "method" if it is a row key,
  // else the last one.
  std::vector<std::string> compare;
  // Keys that must not vary within a table unless they are rows or columns; printed in the notes.
  std::vector<std::string> uniform = {"ratio_kind"};
  std::map<std::string, std::string> labels;  // printed in place of key names and values
};

struct TableCell {
  enum class State { kBlank, kValue, kMissing, kFailed };
  State state = State::kBlank;  // blank: the place has no measurement by design
  std::string text;             // UTF-8, rounded
  bool best = false;
  std::string mark;  // of footnotes: "a", "a,c"
  double value = 0;  // full precision
  std::optional<double> half_interval, standard_error;
  std::optional<double> deviation;  // of one seed, where it is shown instead of the interval
  std::vector<std::string> flags;   // protocols.md 3.9
  int seeds = 0;
  std::string protocol, error_class;
  std::vector<std::string> ids;  // of the measurements behind it
};

struct TableColumn {
  std::string heading;
  std::vector<std::string> keys;  // values of the column keys; empty for the dense column
  std::string metric, task;       // of a mean: "mean" and its id
  ValueColumn::Kind kind = ValueColumn::Kind::kValue;
};

struct TableRow {
  std::vector<std::string> keys, shown;  // values of the row keys, and as printed
  bool starts_group = false;             // the first row key differs from the row above
  std::string mark;                      // of footnotes about the whole row
  std::vector<TableCell> cells;
};

struct Table {
  std::string title;
  std::vector<std::string> row_keys, row_headings, column_keys;
  std::vector<TableColumn> columns;
  std::vector<TableRow> rows;
  std::vector<std::string> notes;
  std::vector<std::pair<std::string, std::string>> footnotes;  // mark, text
};

// The mark of the footnote with this text, which is added if the table does not have it yet.
std::string MarkFor(const std::string& text, Table& table);
// Marks are listed: "a", then "a,b".
void AddMark(const std::string& mark, std::string& marks);

class ScoreSource;

// Rows and columns are in the order in which their key values first occur among the measurements. A
// measurement without one of the column keys (dense) goes to a separate first column. Measurements
// that differ only in the key "seed" share a cell. If `scores` is null, nothing is flagged, and
// only values that are printed alike are equally good. ConfigError for a misleading table.
Table BuildTable(const TableSpec& spec, const std::vector<Measurement>& measurements,
                 ScoreSource* scores = nullptr);

}  // namespace condense
