#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "report/published.h"
#include "stats/means.h"

namespace condense {
namespace {

// False for the protocol names of sources that do not state how they measured.
bool IsStated(const std::string& protocol) {
  return protocol != "mixed" && protocol != "lmeval-unstated" && !StartsWith(protocol, "unknown");
}

// A method with changed options has its own label and is not the published method.
bool MethodsAgree(const Measurement& ours, const PublishedValue& published) {
  if (!published.ablation.empty()) {
    return published.ablation == KeyOf(ours, "published_as") && published.method == ours.method;
  }
  const std::string ablation = KeyOf(ours, "ablation");
  if (!ablation.empty() && ablation != "none") return false;
  std::string label = Lower(KeyOf(ours, "method"));
  std::replace(label.begin(), label.end(), '-', '_');
  if (label != ours.method && label != ours.method + "+rft") return false;
  return label == published.method;
}

bool RatiosAgree(const Measurement& ours, const PublishedValue& published) {
  if (ours.dense) return published.ratio_kind == "none";
  const std::string kind = KeyOf(ours, "ratio_kind"), ratio = KeyOf(ours, "ratio");
  if (ratio.empty()) return false;
  if (published.ratio_kind.empty()) {
    return !published.ratio || std::abs(std::stod(ratio) - *published.ratio) < 1e-9;
  }
  if (!published.ratio) return false;
  const bool kinds_agree =
      (kind == "block" && published.ratio_kind == "block-params") ||
      // For SliceGPT, the published fraction of parameters is the fraction of its width.
      ((kind == "block" || kind == "total") && published.ratio_kind == "params" &&
       ours.method != "slicegpt") ||
      (kind == "total" && published.ratio_kind == "keep-params") ||
      (kind == "nominal" && published.ratio_kind == "slice" && ours.method == "slicegpt") ||
      (kind == "nominal" && published.ratio_kind == "depth");
  return kinds_agree && std::abs(std::stod(ratio) - *published.ratio) < 1e-9;
}

bool CalibrationsAgree(const Measurement& ours, const PublishedValue& published) {
  const std::string own = KeyOf(ours, "calibration");
  return own.empty() || published.calibration.empty() || own == published.calibration ||
         StartsWith(own, published.calibration + "-");  // a corpus, the size not stated
}

bool BelongsTo(const PublishedValue& published, const Measurement& ours,
               const TableColumn& column) {
  return published.model == KeyOf(ours, "model") && published.metric == column.metric &&
         published.task == column.task &&
         published.relative == (column.kind == ValueColumn::Kind::kRelativeToDense) &&
         MethodsAgree(ours, published) && RatiosAgree(ours, published) &&
         CalibrationsAgree(ours, published);
}

const Tolerance* ToleranceFor(const std::vector<Tolerance>& tolerances,
                              const PublishedValue& value) {
  const auto fits = [](const std::string& wanted, const std::string& text) {
    return wanted.empty() || wanted == text;
  };
  for (const Tolerance& entry : tolerances) {
    const bool ratio_fits =
        !entry.ratio || (value.ratio && std::abs(*entry.ratio - *value.ratio) < 1e-9);
    if (ratio_fits && fits(entry.model, value.model) && fits(entry.method, value.method) &&
        fits(entry.metric, value.metric) && fits(entry.task, value.task) &&
        fits(entry.protocol, value.protocol) && fits(entry.calibration, value.calibration)) {
      return &entry;
    }
  }
  return nullptr;
}

TableCell TextCell(std::string text) {
  return {.state = TableCell::State::kValue, .text = std::move(text)};
}

// One of our cells and its column.
struct OwnCell {
  const TableRow& row;
  const TableColumn& column;
  const TableCell& cell;
  const Measurement& measurement;
  std::string protocol;  // of the column
  NumberFormat format;
};

class PublishedWriter {
 public:
  PublishedWriter(const PublishedData& published, Table& out) : published_(published), out_(out) {}

  void Add(const OwnCell& own) {
    std::vector<const PublishedValue*> shown;
    std::vector<std::string> other_protocols;
    for (const PublishedValue& value : published_.values) {
      if (!BelongsTo(value, own.measurement, own.column)) continue;
      if (value.protocol == own.protocol || !IsStated(value.protocol) || !value.hardware.empty()) {
        shown.push_back(&value);
      } else if (std::find(other_protocols.begin(), other_protocols.end(), value.protocol) ==
                 other_protocols.end()) {
        other_protocols.push_back(value.protocol);
      }
    }
    for (const PublishedValue* value : shown) AddValue(own, *value);
    if (!shown.empty() || other_protocols.empty()) return;
    AddRow(own, "",
           {TextCell(own.cell.text), TextCell("-"), TextCell("-"),
            TextCell("not comparable: published under " + Join(other_protocols, ", "))});
  }

 private:
  void AddValue(const OwnCell& own, const PublishedValue& value) {
    TableCell published =
        TextCell(value.value ? FormatNumber(*value.value, own.format) : "overflow");
    for (const std::string& note : NotesOn(own, value)) {
      AddMark(MarkFor(note, out_), published.mark);
    }
    const bool comparable = own.cell.state == TableCell::State::kValue && value.value &&
                            value.hardware.empty() && value.protocol == own.protocol;
    const double difference = comparable ? own.cell.value - *value.value : 0;
    AddRow(
        own, value.source,
        {TextCell(own.cell.text), published, TextCell(comparable ? Signed(own, difference) : "-"),
         TextCell(Verdict(own, value, difference))});
  }

  static std::vector<std::string> NotesOn(const OwnCell& own, const PublishedValue& value) {
    std::vector<std::string> notes;
    if (!value.protocol.empty() && !IsStated(value.protocol))
      notes.push_back("protocol: " + value.protocol);
    if (value.ratio_kind == "params") {
      notes.push_back("a fraction of the parameters, of which is not stated");
    }
    const std::string calibration = KeyOf(own.measurement, "calibration");
    if (!calibration.empty() && value.ablation.empty() && value.hardware.empty() &&
        value.metric != "parameters" && value.metric != "macs" &&
        value.calibration != calibration) {
      notes.push_back(value.calibration.empty()
                          ? std::string("calibration not recorded")
                          : fmt::format("calibration: {}, size not stated", value.calibration));
    }
    if (!value.note.empty()) notes.push_back(value.note);
    return notes;
  }

  std::string Verdict(const OwnCell& own, const PublishedValue& value, double difference) const {
    if (!value.hardware.empty()) return "not comparable: measured on " + value.hardware;
    if (!IsStated(value.protocol)) return "not comparable: protocol not stated";
    if (own.cell.state != TableCell::State::kValue) return "not measured";
    if (!value.value) return "published value overflowed";
    if (value.recalled) return "published value only recalled";
    const Tolerance* tolerance = ToleranceFor(published_.tolerances, value);
    if (tolerance == nullptr) return "no tolerance defined";
    const double scale = own.format.style == NumberFormat::Style::kPercent ? 100 : 1;
    const double allowed = tolerance->relative * *value.value * scale + tolerance->absolute;
    // A difference that is printed as equal to the tolerance is within it.
    if (std::abs(difference) * scale <= allowed + 1e-9) return "reproduced";
    return "off by " + FormatNumber(std::abs(difference), own.format);
  }

  static std::string Signed(const OwnCell& own, double difference) {
    return fmt::format("{}{}", difference > 0 ? "+" : "", FormatNumber(difference, own.format));
  }

  void AddRow(const OwnCell& own, const std::string& source, std::vector<TableCell> cells) {
    TableRow row{own.row.keys, own.row.shown, false, "", std::move(cells)};
    row.keys.push_back(own.column.heading);
    row.shown.push_back(own.column.heading);
    row.keys.push_back(source);
    row.shown.push_back(source);
    row.starts_group = !out_.rows.empty() && out_.rows.back().keys[0] != row.keys[0];
    out_.rows.push_back(std::move(row));
  }

  const PublishedData& published_;
  Table& out_;
};

std::string ProtocolOf(const Table& table, size_t column) {
  for (const TableRow& row : table.rows) {
    if (!row.cells[column].protocol.empty()) return row.cells[column].protocol;
  }
  return "";
}

NumberFormat FormatOf(const TableColumn& column, const std::vector<Measurement>& measurements) {
  if (column.metric == MeanMetric().name) return MeanMetric().format;
  return MetricOf({column.metric}, measurements).format;
}

}  // namespace

Table PublishedTable(const Table& table, const std::vector<Measurement>& measurements,
                     const PublishedData& published) {
  Table out;
  out.title = table.title + ": published values";
  out.row_keys = table.row_keys;
  out.row_headings = table.row_headings;
  for (const char* key : {"column", "source"}) {
    out.row_keys.emplace_back(key);
    out.row_headings.emplace_back(key);
  }
  for (const char* heading : {"ours", "published", "difference", "verdict"}) {
    out.columns.push_back({heading});
  }
  PublishedWriter writer(published, out);
  for (const TableRow& row : table.rows) {
    for (size_t c = 0; c < row.cells.size(); ++c) {
      const TableColumn& column = table.columns[c];
      const TableCell& cell = row.cells[c];
      const bool shown = column.kind == ValueColumn::Kind::kValue ||
                         column.kind == ValueColumn::Kind::kRelativeToDense;
      if (!shown || cell.ids.empty()) continue;
      const auto ours =
          std::find_if(measurements.begin(), measurements.end(),
                       [&](const Measurement& m) { return m.id == cell.ids.front(); });
      if (ours == measurements.end()) continue;
      NumberFormat format = FormatOf(column, measurements);
      if (column.kind == ValueColumn::Kind::kRelativeToDense) {
        format = {NumberFormat::Style::kFixed, 3};
      }
      writer.Add({row, column, cell, *ours, ProtocolOf(table, c), format});
    }
  }
  out.notes.emplace_back(
      "difference: ours - published; reproduced: within the tolerance of configs/published");
  return out;
}

}  // namespace condense
