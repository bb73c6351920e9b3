#include "report/tables/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/strings.h"
#include "report/statistics/scores.h"
#include "report/tables/best.h"
#include "report/tables/layout.h"
#include "report/tables/value_reader.h"
#include "stats/intervals.h"
#include "stats/means.h"

namespace condense {
namespace {

using Place = std::vector<const Measurement*>;

NumberFormat FormatFor(const ValueColumn& column, const Metric& metric) {
  if (column.format) return *column.format;
  NumberFormat format = metric.format;
  if (column.kind != ValueColumn::Kind::kValue) {
    format.style = NumberFormat::Style::kFixed;
    format.digits = column.kind == ValueColumn::Kind::kRelativeToDense ? 3 : 2;
  }
  return format;
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// What all cells of a column share.
struct ColumnContext {
  const ValueColumn& column;
  ValueReader& reader;
  NumberFormat format;
  Better better;
  ScoreSource* scores;
};

// Flags of accuracies (protocols.md 3.9), as marks.
void FlagCell(const ColumnContext& context, const Measurement& measurement, const ReadValue& read,
              TableCell& cell, Table& table) {
  if (context.scores == nullptr || context.column.kind != ValueColumn::Kind::kValue) return;
  if (read.sources.size() != 1) return;
  const auto series = context.scores->Find(measurement.id, *read.sources.front());
  if (!series) return;
  for (const std::string& flag : series->flags) {
    if (std::find(cell.flags.begin(), cell.flags.end(), flag) != cell.flags.end()) continue;
    cell.flags.push_back(flag);
    AddMark(MarkFor(DescribeFlag(flag), table), cell.mark);
  }
}

void ShowFailure(const Place& place, const std::vector<const Measurement*>& failed, TableCell& cell,
                 Table& table) {
  cell.state = TableCell::State::kFailed;
  cell.text = "failed";
  cell.error_class = failed.front()->error_class;
  std::string note =
      OneLine(fmt::format("{}: {}", failed.front()->error_class, failed.front()->error_message));
  if (place.size() > 1) note += fmt::format(" ({} of {} seeds)", failed.size(), place.size());
  cell.mark = MarkFor(note, table);
}

void ShowValues(const std::vector<ReadValue>& values, const ColumnContext& context,
                TableCell& cell) {
  std::vector<double> numbers;
  for (const ReadValue& read : values) numbers.push_back(read.value);
  const Estimate estimate = MeanWithInterval(numbers);
  cell.state = TableCell::State::kValue;
  cell.value = estimate.mean;
  cell.seeds = static_cast<int>(values.size());
  cell.protocol = context.reader.protocol();
  cell.text = FormatNumber(estimate.mean, context.format);
  if (values.size() > 1) {
    cell.half_interval = estimate.half_interval;
    double shown = estimate.half_interval;
    if (context.column.show_deviation) {
      cell.deviation =
          StandardErrorOfMean(numbers) * std::sqrt(static_cast<double>(numbers.size()));
      shown = *cell.deviation;
    }
    cell.text = FormatWithInterval(estimate.mean, shown, context.format);
    return;
  }
  cell.standard_error = values.front().standard_error;
  if (context.column.show_error && cell.standard_error) {
    cell.text += fmt::format(" ({})", FormatNumber(*cell.standard_error, context.format));
  }
}

// The cell for all measurements (seeds) at one place.
TableCell CellOf(const Place& place, const ColumnContext& context, Table& table) {
  TableCell cell;
  std::vector<ReadValue> values;
  std::vector<const Measurement*> failed;
  for (const Measurement* measurement : place) {
    cell.ids.push_back(measurement->id);
    // A run that failed in a later stage still has this value.
    if (auto read = context.reader.Read(*measurement)) {
      FlagCell(context, *measurement, *read, cell, table);
      values.push_back(std::move(*read));
    } else if (measurement->status == Measurement::Status::kFailed) {
      failed.push_back(measurement);
    }
  }
  if (!failed.empty()) {
    ShowFailure(place, failed, cell, table);
  } else if (values.empty()) {
    cell.state = TableCell::State::kMissing;
    cell.text = "-";
    const std::string why = context.reader.WhyMissing(*place.front());
    if (!why.empty()) cell.mark = MarkFor(why, table);
  } else {
    ShowValues(values, context, cell);
    if (values.size() < place.size()) {
      AddMark(MarkFor(fmt::format("{} of {} seeds", values.size(), place.size()), table),
              cell.mark);
    }
  }
  return cell;
}

// Adds one table column per column of the layout.
class ColumnWriter {
 public:
  ColumnWriter(const TableSpec& spec, const std::vector<Measurement>& measurements,
               const Layout& layout, ScoreSource* scores, Table& table)
      : spec_(spec), measurements_(measurements), layout_(layout), scores_(scores), table_(table) {}

  void Add(const ValueColumn& column, bool is_extra) {
    ValueReader reader(spec_, column, measurements_, scores_);
    const Metric metric = MetricOf(column.select, measurements_);
    const ColumnContext context{column, reader, FormatFor(column, metric), metric.better, scores_};
    for (size_t c = 0; c < layout_.columns.size(); ++c) {
      std::vector<TableCell> cells;
      for (size_t r = 0; r < layout_.rows.size(); ++r) cells.push_back(CellAt(r, c, context));
      const bool dense_column = layout_.HasDenseColumn(spec_) && c == 0;
      if (is_extra && dense_column && NothingMeasured(cells)) continue;
      const bool mean = !column.select.mean.empty();
      table_.columns.push_back({Heading(context, c, is_extra), layout_.columns[c],
                                mean ? metric.name : column.select.metric,
                                mean ? column.select.mean : column.select.task, column.kind});
      for (size_t r = 0; r < cells.size(); ++r) table_.rows[r].cells.push_back(cells[r]);
      if (!is_extra && !dense_column) {
        noise_decided_ |= MarkBest({spec_, layout_, c, context.better, reader, scores_},
                                   table_.columns.size() - 1, table_);
      }
    }
    NoteColumn(context);
  }

  std::vector<std::string> Notes() const {
    std::vector<std::string> notes;
    for (const auto& [headings, about] : about_) {
      notes.push_back(fmt::format("{}: {}", Join(headings, ", "), about));
    }
    if (noise_decided_) {
      notes.push_back(
          "best: also values that do not differ significantly from it in a paired test (McNemar's "
          "p above 0.05, or zero inside the 95% bootstrap interval)");
    }
    return notes;
  }

 private:
  TableCell CellAt(size_t r, size_t c, const ColumnContext& context) {
    const Place& place = layout_.places[r][c];
    if (!place.empty()) return CellOf(place, context, table_);
    // A method has no value in the dense column, nor the dense model in the others.
    const bool dense_column = layout_.HasDenseColumn(spec_);
    const bool dense_row = dense_column && !layout_.places[r][0].empty();
    TableCell cell;
    if (dense_row || (dense_column && c == 0)) return cell;
    cell.state = TableCell::State::kMissing;
    cell.text = "-";
    return cell;
  }

  static bool NothingMeasured(const std::vector<TableCell>& cells) {
    return std::none_of(cells.begin(), cells.end(), [](const TableCell& cell) {
      return cell.state == TableCell::State::kValue || cell.state == TableCell::State::kFailed;
    });
  }

  std::string Heading(const ColumnContext& context, size_t c, bool is_extra) const {
    const std::string own = context.reader.Heading();
    if (spec_.columns.empty()) return own;
    std::vector<std::string> shown;
    for (size_t i = 0; i < layout_.columns[c].size(); ++i) {
      shown.push_back(ShownKey(spec_, spec_.columns[i], layout_.columns[c][i]));
    }
    if (layout_.columns[c].empty()) shown = {ShownKey(spec_, "", "dense")};
    const bool alone = !is_extra && spec_.cells.size() == 1;
    return alone ? Join(shown, " / ") : own + " " + Join(shown, " / ");
  }

  // "piqa, arc_easy: acc_norm, protocol lmeval-bos, in percent, higher is better"
  void NoteColumn(const ColumnContext& context) {
    if (context.reader.protocol().empty()) return;
    const std::string about = About(context);
    for (auto& [headings, known] : about_) {
      if (known == about) return headings.push_back(context.reader.Heading());
    }
    about_.push_back({{context.reader.Heading()}, about});
  }

  static std::string About(const ColumnContext& context) {
    using Kind = ValueColumn::Kind;
    const ValueColumn& column = context.column;
    std::string about;
    if (!column.select.task.empty()) about = column.select.metric + ", ";
    if (!column.select.mean.empty()) {
      about = fmt::format("mean of {} tasks, ", FindMean(column.select.mean).terms.size());
    }
    if (column.kind == Kind::kRetention) about += "100 x / dense, ";
    if (column.kind == Kind::kRetentionAboveChance) {
      about += "100 (x - chance) / (dense - chance), ";
    }
    about += fmt::format("protocol {}", context.reader.protocol());
    if (context.format.style == NumberFormat::Style::kPercent) about += ", in percent";
    if (context.better == Better::kLower) about += ", lower is better";
    if (context.better == Better::kHigher) about += ", higher is better";
    if (column.show_error) about += ", standard error in brackets";
    if (column.show_deviation) about += ", mean ± standard deviation over seeds";
    return about;
  }

  const TableSpec& spec_;
  const std::vector<Measurement>& measurements_;
  const Layout& layout_;
  ScoreSource* scores_;
  Table& table_;
  bool noise_decided_ = false;
  std::vector<std::pair<std::vector<std::string>, std::string>> about_;
};

std::vector<TableRow> EmptyRows(const TableSpec& spec, const Layout& layout) {
  std::vector<TableRow> rows;
  for (const Keys& keys : layout.rows) {
    TableRow row{keys, {}, false, "", {}};
    for (size_t i = 0; i < keys.size(); ++i) {
      row.shown.push_back(ShownKey(spec, spec.rows[i], keys[i]));
    }
    row.starts_group = keys.size() > 1 && !rows.empty() && rows.back().keys[0] != keys[0];
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

std::string KeyOf(const Measurement& measurement, const std::string& key) {
  const auto found = measurement.keys.find(key);
  return found == measurement.keys.end() ? "" : found->second;
}

std::string MarkFor(const std::string& text, Table& table) {
  for (const auto& [mark, known] : table.footnotes) {
    if (known == text) return mark;
  }
  std::string mark;
  for (size_t n = table.footnotes.size() + 1; n > 0; n = (n - 1) / 26) {
    mark.insert(mark.begin(), static_cast<char>('a' + (n - 1) % 26));
  }
  table.footnotes.emplace_back(mark, text);
  return mark;
}

void AddMark(const std::string& mark, std::string& marks) {
  if (!marks.empty()) marks += ",";
  marks += mark;
}

Metric MetricOf(const MetricSelector& select, const std::vector<Measurement>& measurements) {
  if (!select.mean.empty()) return MeanMetric();
  for (const Measurement& measurement : measurements) {
    for (const MetricValue& value : measurement.values) {
      if (value.metric == select.metric) return DescribeMetric(value.metric, value.unit);
    }
  }
  return DescribeMetric(select.metric, "");
}

Table BuildTable(const TableSpec& spec, const std::vector<Measurement>& measurements,
                 ScoreSource* scores) {
  if (spec.rows.empty() || spec.cells.empty()) {
    throw MakeError<ConfigError>("table '{}': needs at least one row key and one cell", spec.title);
  }
  const Layout layout = ArrangeMeasurements(spec, measurements);
  Table table;
  table.title = spec.title;
  table.row_keys = spec.rows;
  table.column_keys = spec.columns;
  for (const std::string& key : spec.rows) table.row_headings.push_back(ShownKey(spec, "", key));
  table.rows = EmptyRows(spec, layout);
  ColumnWriter writer(spec, measurements, layout, scores, table);
  for (const ValueColumn& column : spec.cells) writer.Add(column, /*is_extra=*/false);
  for (const ValueColumn& column : spec.extra) writer.Add(column, /*is_extra=*/true);
  table.notes = writer.Notes();
  for (std::string& note : CheckUniformKeys(spec, measurements)) {
    table.notes.push_back(std::move(note));
  }
  const bool seeds = std::any_of(table.rows.begin(), table.rows.end(), [](const TableRow& row) {
    return std::any_of(row.cells.begin(), row.cells.end(), [](const TableCell& cell) {
      return cell.half_interval.has_value() && !cell.deviation.has_value();
    });
  });
  if (seeds) table.notes.push_back("mean ± half width of the 95% t-interval over seeds");
  return table;
}

}  // namespace condense
