#include "report/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "report/layout.h"
#include "stats/intervals.h"

namespace condense {
namespace {

using Place = std::vector<const Measurement*>;

NumberFormat FormatFor(const ValueColumn& column) {
  if (column.format) return *column.format;
  NumberFormat format = FormatOfMetric(column.select.metric);
  if (column.kind == ValueColumn::Kind::kRelativeToDense) {
    format.style = NumberFormat::Style::kFixed;
    format.digits = 3;
  }
  return format;
}

std::string HeadingFor(const ValueColumn& column) {
  if (!column.heading.empty()) return column.heading;
  const std::string& name = column.select.task.empty() ? column.select.metric : column.select.task;
  return column.kind == ValueColumn::Kind::kRelativeToDense ? "relative " + name : name;
}

// Hands out footnote marks: the same text has the same mark.
class Footnotes {
 public:
  std::string Mark(const std::string& text) {
    for (const auto& [mark, known] : notes_) {
      if (known == text) return mark;
    }
    std::string mark;
    for (size_t n = notes_.size() + 1; n > 0; n = (n - 1) / 26) {
      mark.insert(mark.begin(), static_cast<char>('a' + (n - 1) % 26));
    }
    notes_.emplace_back(mark, text);
    return mark;
  }
  std::vector<std::pair<std::string, std::string>> Take() { return std::move(notes_); }

 private:
  std::vector<std::pair<std::string, std::string>> notes_;
};

// Reads one metric from measurements and makes sure that all of its values may stand side by side.
class ValueReader {
 public:
  ValueReader(const TableSpec& spec, const ValueColumn& column,
              const std::vector<Measurement>& measurements)
      : spec_(spec), column_(column), measurements_(measurements) {}

  // The value as it is compared and printed; none if it was not measured, or has no dense value to
  // refer to.
  std::optional<double> Read(const Measurement& measurement) {
    const MetricValue* value = Find(measurement);
    if (value == nullptr) return std::nullopt;
    if (column_.kind == ValueColumn::Kind::kValue) return value->value;
    const Measurement* dense = DenseOf(measurement);
    const MetricValue* reference = dense == nullptr ? nullptr : Find(*dense);
    if (reference == nullptr) return std::nullopt;
    return value->value / reference->value;
  }

  const std::string& protocol() const { return protocol_; }

 private:
  const MetricValue* Find(const Measurement& measurement) {
    const MetricValue* found = nullptr;
    for (const MetricValue& value : measurement.values) {
      const MetricSelector& select = column_.select;
      if (value.metric != select.metric || value.task != select.task) continue;
      if (!select.protocol.empty() && value.protocol != select.protocol) continue;
      RequireOneProtocol(value, measurement);
      RequireSameBasis(value, measurement);
      found = &value;
    }
    return found;
  }

  void RequireOneProtocol(const MetricValue& value, const Measurement& measurement) {
    if (protocol_example_ == nullptr) {
      protocol_ = value.protocol;
      protocol_example_ = &measurement;
    }
    if (value.protocol == protocol_) return;
    throw MakeError<ConfigError>(
        "table '{}': the column '{}' would hold numbers of two protocols: '{}' (cell {}) and '{}' "
        "(cell {}); name the protocol in the table's definition",
        spec_.title, HeadingFor(column_), protocol_, DescribePlace(spec_, *protocol_example_),
        value.protocol, DescribePlace(spec_, measurement));
  }

  // What was scored depends on the tokenizer, so it is compared within the first row key (the
  // model).
  void RequireSameBasis(const MetricValue& value, const Measurement& measurement) {
    if (value.basis.empty() || spec_.rows.empty()) return;
    const auto group = measurement.keys.find(spec_.rows.front());
    if (group == measurement.keys.end()) return;
    const auto [first, is_new] =
        bases_.emplace(group->second, std::pair(value.basis, &measurement));
    if (is_new || first->second.first == value.basis) return;
    throw MakeError<ConfigError>(
        "table '{}': in the column '{}' the cells {} and {} were scored on different data (digests "
        "{} and {}) and cannot be compared",
        spec_.title, HeadingFor(column_), DescribePlace(spec_, *first->second.second),
        DescribePlace(spec_, measurement), first->second.first, value.basis);
  }

  // The dense measurement that agrees in every row key which it has, other than the compared ones.
  const Measurement* DenseOf(const Measurement& measurement) const {
    for (const Measurement& dense : measurements_) {
      if (!dense.dense) continue;
      const bool agrees = std::all_of(spec_.rows.begin(), spec_.rows.end(), [&](const auto& key) {
        if (key == "method") return true;
        const auto of_dense = dense.keys.find(key), own = measurement.keys.find(key);
        return of_dense == dense.keys.end() ||
               (own != measurement.keys.end() && own->second == of_dense->second);
      });
      if (agrees) return &dense;
    }
    return nullptr;
  }

  const TableSpec& spec_;
  const ValueColumn& column_;
  const std::vector<Measurement>& measurements_;
  std::string protocol_;
  const Measurement* protocol_example_ = nullptr;
  std::map<std::string, std::pair<std::string, const Measurement*>> bases_;
};

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// The cell of all measurements (seeds) at one place.
TableCell CellOf(const Place& place, ValueReader& reader, const NumberFormat& format,
                 Footnotes& footnotes) {
  TableCell cell;
  std::vector<double> values;
  std::vector<const Measurement*> failed;
  for (const Measurement* measurement : place) {
    cell.ids.push_back(measurement->id);
    // A run that failed later may still have this value from a stage that was finished.
    if (const auto value = reader.Read(*measurement)) {
      values.push_back(*value);
    } else if (measurement->status == Measurement::Status::kFailed) {
      failed.push_back(measurement);
    }
  }
  if (!failed.empty()) {
    cell.state = TableCell::State::kFailed;
    cell.text = "failed";
    cell.error_class = failed.front()->error_class;
    std::string note =
        OneLine(fmt::format("{}: {}", failed.front()->error_class, failed.front()->error_message));
    if (place.size() > 1) note += fmt::format(" ({} of {} seeds)", failed.size(), place.size());
    cell.mark = footnotes.Mark(note);
  } else if (values.empty()) {
    cell.state = TableCell::State::kMissing;
    cell.text = "-";
  } else {
    const Estimate estimate = MeanWithInterval(values);
    cell.state = TableCell::State::kValue;
    cell.value = estimate.mean;
    cell.seeds = static_cast<int>(values.size());
    cell.protocol = reader.protocol();
    cell.text = FormatNumber(estimate.mean, format);
    if (values.size() > 1) {
      cell.half_interval = estimate.half_interval;
      cell.text = FormatWithInterval(estimate.mean, estimate.half_interval, format);
    }
    if (values.size() < place.size()) {
      cell.mark = footnotes.Mark(fmt::format("{} of {} seeds", values.size(), place.size()));
    }
  }
  return cell;
}

// Marks the best value of each set of rows that differ in the compared keys alone. Values that
// print the same are equally good; dense models do not compete.
void MarkBest(const TableSpec& spec, const Layout& layout, size_t layout_column, Better better,
              size_t column, Table& table) {
  if (spec.best == TableSpec::Best::kNone || better == Better::kNeither) return;
  Keys compare = spec.compare;
  if (compare.empty()) {
    const bool by_method =
        std::find(spec.rows.begin(), spec.rows.end(), "method") != spec.rows.end();
    compare = {by_method ? "method" : spec.rows.back()};
  }
  std::map<Keys, std::vector<TableCell*>> groups;
  for (size_t r = 0; r < table.rows.size(); ++r) {
    TableCell& cell = table.rows[r].cells[column];
    if (cell.state != TableCell::State::kValue) continue;
    if (layout.places[r][layout_column].front()->dense) continue;
    Keys group;
    for (size_t i = 0; i < spec.rows.size(); ++i) {
      const bool compared =
          std::find(compare.begin(), compare.end(), spec.rows[i]) != compare.end();
      if (!compared) group.push_back(table.rows[r].keys[i]);
    }
    groups[group].push_back(&cell);
  }
  for (auto& [group, cells] : groups) {
    if (cells.size() < 2) continue;
    const TableCell* best =
        *std::min_element(cells.begin(), cells.end(), [&](const TableCell* a, const TableCell* b) {
          return better == Better::kLower ? a->value < b->value : a->value > b->value;
        });
    for (TableCell* cell : cells) cell->best = cell->text == best->text;
  }
}

// Adds one column for each column of the layout.
class ColumnWriter {
 public:
  ColumnWriter(const TableSpec& spec, const std::vector<Measurement>& measurements,
               const Layout& layout, Table& table, Footnotes& footnotes)
      : spec_(spec),
        measurements_(measurements),
        layout_(layout),
        table_(table),
        footnotes_(footnotes) {}

  void Add(const ValueColumn& column, bool is_extra) {
    ValueReader reader(spec_, column, measurements_);
    const NumberFormat format = FormatFor(column);
    for (size_t c = 0; c < layout_.columns.size(); ++c) {
      std::vector<TableCell> cells;
      for (size_t r = 0; r < layout_.rows.size(); ++r) {
        cells.push_back(CellAt(r, c, reader, format));
      }
      const bool dense_column = layout_.HasDenseColumn(spec_) && c == 0;
      if (is_extra && dense_column && NothingMeasured(cells)) continue;
      table_.columns.push_back({Heading(column, c, is_extra), layout_.columns[c],
                                column.select.metric, column.select.task,
                                column.kind == ValueColumn::Kind::kRelativeToDense});
      for (size_t r = 0; r < cells.size(); ++r) table_.rows[r].cells.push_back(cells[r]);
      if (!is_extra && !dense_column) {
        MarkBest(spec_, layout_, c, format.better, table_.columns.size() - 1, table_);
      }
    }
    NoteProtocol(column, reader, format);
  }

  std::vector<std::string> Notes() const {
    std::vector<std::string> notes;
    for (const auto& [headings, about] : protocols_) {
      notes.push_back(fmt::format("{}: {}", Join(headings, ", "), about));
    }
    return notes;
  }

 private:
  TableCell CellAt(size_t r, size_t c, ValueReader& reader, const NumberFormat& format) const {
    const Place& place = layout_.places[r][c];
    if (!place.empty()) return CellOf(place, reader, format, footnotes_);
    // Nothing belongs into the dense column of a method, nor into the others of the dense model.
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

  std::string Heading(const ValueColumn& column, size_t c, bool is_extra) const {
    if (spec_.columns.empty()) return HeadingFor(column);
    std::vector<std::string> shown;
    for (size_t i = 0; i < layout_.columns[c].size(); ++i) {
      shown.push_back(ShownKey(spec_, spec_.columns[i], layout_.columns[c][i]));
    }
    if (layout_.columns[c].empty()) shown = {ShownKey(spec_, "", "dense")};
    const bool alone = !is_extra && spec_.cells.size() == 1;
    return alone ? Join(shown, " / ") : HeadingFor(column) + " " + Join(shown, " / ");
  }

  // "piqa, arc_easy: protocol lmeval-bos, in percent, higher is better"
  void NoteProtocol(const ValueColumn& column, const ValueReader& reader,
                    const NumberFormat& format) {
    if (reader.protocol().empty()) return;
    std::string about = fmt::format("protocol {}", reader.protocol());
    if (format.style == NumberFormat::Style::kPercent) about += ", in percent";
    if (format.better == Better::kLower) about += ", lower is better";
    if (format.better == Better::kHigher) about += ", higher is better";
    for (auto& [headings, known] : protocols_) {
      if (known == about) return headings.push_back(HeadingFor(column));
    }
    protocols_.push_back({{HeadingFor(column)}, about});
  }

  const TableSpec& spec_;
  const std::vector<Measurement>& measurements_;
  const Layout& layout_;
  Table& table_;
  Footnotes& footnotes_;
  std::vector<std::pair<std::vector<std::string>, std::string>> protocols_;
};

std::vector<TableRow> EmptyRows(const TableSpec& spec, const Layout& layout) {
  std::vector<TableRow> rows;
  for (const Keys& keys : layout.rows) {
    TableRow row{keys, {}, false, {}};
    for (size_t i = 0; i < keys.size(); ++i) {
      row.shown.push_back(ShownKey(spec, spec.rows[i], keys[i]));
    }
    row.starts_group = keys.size() > 1 && !rows.empty() && rows.back().keys[0] != keys[0];
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

Table BuildTable(const TableSpec& spec, const std::vector<Measurement>& measurements) {
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
  Footnotes footnotes;
  ColumnWriter writer(spec, measurements, layout, table, footnotes);
  for (const ValueColumn& column : spec.cells) writer.Add(column, /*is_extra=*/false);
  for (const ValueColumn& column : spec.extra) writer.Add(column, /*is_extra=*/true);
  table.notes = writer.Notes();
  for (std::string& note : CheckUniformKeys(spec, measurements)) {
    table.notes.push_back(std::move(note));
  }
  const bool seeds = std::any_of(table.rows.begin(), table.rows.end(), [](const TableRow& row) {
    return std::any_of(row.cells.begin(), row.cells.end(),
                       [](const TableCell& cell) { return cell.half_interval.has_value(); });
  });
  if (seeds) table.notes.push_back("mean ± half the 95% t-interval over seeds");
  table.footnotes = footnotes.Take();
  return table;
}

}  // namespace condense
