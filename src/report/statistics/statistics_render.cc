// Statistics as aligned text, CSV and JSON. CSV and JSON keep every digit.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.h"
#include "report/csv.h"
#include "report/statistics/statistics.h"
#include "report/tables/render.h"

namespace condense {
namespace {

using Statistics = std::vector<CellStatistics>;
using Group = StatisticsRow::Group;

std::string KeyOf(const CellStatistics& cell, const std::string& key) {
  const auto found = cell.keys.find(key);
  return found == cell.keys.end() ? "" : found->second;
}

// The keys that differ between cells, and always model and method.
std::vector<std::string> KeysOf(const Statistics& statistics) {
  std::vector<std::string> keys = {"model"};
  for (const char* key : {"dtype", "method", "ratio_kind", "ratio", "calibration", "seed"}) {
    std::set<std::string> values;
    for (const CellStatistics& cell : statistics) {
      const std::string value = KeyOf(cell, key);
      if (!value.empty()) values.insert(value);
    }
    if (values.size() > 1 || std::string(key) == "method") keys.emplace_back(key);
  }
  return keys;
}

std::string Percent(double fraction) { return fmt::format("{:.2f}", 100 * fraction); }
std::string Signed(double value, int digits) {
  return fmt::format("{}{:.{}f}", value > 0 ? "+" : "", value, digits);
}
std::string Probability(double p) { return p < 1e-4 ? "<1e-4" : fmt::format("{:.4f}", p); }
template <class T, class Show>
std::string Shown(const std::optional<T>& value, Show show) {
  return value ? show(*value) : "";
}
std::string Range(const Interval& interval, const std::function<std::string(double)>& show) {
  return fmt::format("[{}, {}]", show(interval.low), show(interval.high));
}

// One table of the text: one line per row, or per comparison, of one group.
struct Section {
  std::string title;
  std::vector<std::string> row_headings, headings;
  std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> lines;
};

// Leaves out key columns without values.
void DropEmptyKeys(Table& table) {
  for (size_t k = table.row_headings.size(); k-- > 0;) {
    const bool empty = std::all_of(table.rows.begin(), table.rows.end(),
                                   [&](const TableRow& row) { return row.shown[k].empty(); });
    if (!empty) continue;
    const auto at = static_cast<std::ptrdiff_t>(k);
    table.row_headings.erase(table.row_headings.begin() + at);
    for (TableRow& row : table.rows) {
      row.keys.erase(row.keys.begin() + at);
      row.shown.erase(row.shown.begin() + at);
    }
  }
}

// Leaves out columns without values: tests where averages are compared, flags where none is raised.
void DropEmptyColumns(Table& table) {
  for (size_t c = table.columns.size(); c-- > 0;) {
    const bool empty = std::all_of(table.rows.begin(), table.rows.end(),
                                   [&](const TableRow& row) { return row.cells[c].text.empty(); });
    if (!empty) continue;
    const auto at = static_cast<std::ptrdiff_t>(c);
    table.columns.erase(table.columns.begin() + at);
    for (TableRow& row : table.rows) row.cells.erase(row.cells.begin() + at);
  }
}

std::string ToText(const Section& section, const std::vector<std::string>& keys) {
  if (section.lines.empty()) return "";
  Table table;
  table.title = section.title;
  table.row_headings = keys;
  table.row_headings.insert(table.row_headings.end(), section.row_headings.begin(),
                            section.row_headings.end());
  for (const std::string& heading : section.headings) table.columns.push_back({heading});
  for (const auto& [line_keys, fields] : section.lines) {
    TableRow row{line_keys, line_keys, false, "", {}};
    for (const std::string& field : fields) {
      row.cells.push_back({.state = TableCell::State::kValue, .text = field});
    }
    table.rows.push_back(std::move(row));
  }
  DropEmptyKeys(table);
  DropEmptyColumns(table);
  return ToText(table, TextStyle::kPlain) + "\n";
}

std::vector<std::string> LineKeys(const std::vector<std::string>& keys, const CellStatistics& cell,
                                  const std::vector<std::string>& more) {
  std::vector<std::string> values;
  for (const std::string& key : keys) values.push_back(KeyOf(cell, key));
  values.insert(values.end(), more.begin(), more.end());
  return values;
}

// `line` gives the fields of a row; empty for those of other groups.
Section ValueSection(const Statistics& statistics, const std::vector<std::string>& keys,
                     Section section,
                     const std::function<std::vector<std::string>(const StatisticsRow&)>& line) {
  section.row_headings = {"protocol", "task", "metric"};
  for (const CellStatistics& cell : statistics) {
    for (const StatisticsRow& row : cell.rows) {
      std::vector<std::string> fields = line(row);
      if (fields.empty()) continue;
      section.lines.emplace_back(LineKeys(keys, cell, {row.protocol, row.task, row.metric}),
                                 std::move(fields));
    }
  }
  return section;
}

Section PairSection(const Statistics& statistics, const std::vector<std::string>& keys,
                    Section section, Group group,
                    const std::function<std::vector<std::string>(const PairedStatistics&)>& line) {
  section.row_headings = {"protocol", "against", "task", "metric"};
  for (const CellStatistics& cell : statistics) {
    std::vector<std::string> references;
    for (const StatisticsRow& row : cell.rows) {
      for (const PairedStatistics& paired : row.comparisons) {
        const bool known =
            std::find(references.begin(), references.end(), paired.against) != references.end();
        if (!known) references.push_back(paired.against);
      }
    }
    for (const std::string& reference : references) {
      for (const StatisticsRow& row : cell.rows) {
        for (const PairedStatistics& paired : row.comparisons) {
          if (row.group != group || paired.against != reference) continue;
          section.lines.emplace_back(
              LineKeys(keys, cell, {row.protocol, reference, row.task, row.metric}), line(paired));
        }
      }
    }
  }
  return section;
}

std::vector<std::string> AccuracyLine(const StatisticsRow& row) {
  if (row.group != Group::kAccuracy) return {};
  return {Percent(row.value), Shown(row.standard_error, Percent),
          Shown(row.interval, [](const Interval& i) { return Range(i, Percent); }),
          row.count ? fmt::format("{}", *row.count) : "", Join(row.flags, " ")};
}

std::vector<std::string> PerplexityLine(const StatisticsRow& row) {
  if (row.group != Group::kPerplexity) return {};
  const auto two = [](double x) { return fmt::format("{:.2f}", x); };
  return {two(row.value), Shown(row.interval, [&](const Interval& i) { return Range(i, two); }),
          Shown(row.nll, [](double x) { return fmt::format("{:.4f}", x); }),
          row.count ? fmt::format("{}", *row.count) : ""};
}

std::vector<std::string> AgreementLine(const StatisticsRow& row) {
  if (row.group != Group::kAgreement) return {};
  const auto four = [](double x) { return fmt::format("{:.4g}", x); };
  return {four(row.value), Shown(row.standard_error, four),
          Shown(row.interval, [&](const Interval& i) { return Range(i, four); }),
          row.count ? fmt::format("{}", *row.count) : ""};
}

std::vector<std::string> AccuracyPair(const PairedStatistics& paired) {
  const auto points = [](double x) { return Signed(100 * x, 2); };
  const auto two = [](double x) { return fmt::format("{:.2f}", x); };
  std::vector<std::string> fields = {points(paired.difference), Range(paired.interval, points)};
  fields.push_back(paired.test ? fmt::format("{}", paired.test->lost) : "");
  fields.push_back(paired.test ? fmt::format("{}", paired.test->gained) : "");
  fields.push_back(paired.test ? Probability(paired.test->p) : "");
  fields.push_back(Shown(paired.holm_p, Probability));
  fields.push_back(Shown(paired.retention, two));
  fields.push_back(Shown(paired.retention_above_chance, two));
  return fields;
}

std::vector<std::string> PerplexityPair(const PairedStatistics& paired) {
  const auto four = [](double x) { return Signed(x, 4); };
  const auto ratio = [](double x) { return fmt::format("{:.4f}", x); };
  return {four(paired.difference), Range(paired.interval, four), Shown(paired.ratio, ratio),
          Shown(paired.ratio_interval, [&](const Interval& i) { return Range(i, ratio); })};
}

std::vector<std::string> AgreementPair(const PairedStatistics& paired) {
  const auto four = [](double x) { return fmt::format("{}{:.4g}", x > 0 ? "+" : "", x); };
  return {four(paired.difference), fmt::format("{:.4g}", paired.standard_error),
          Range(paired.interval, four)};
}

std::string Digits(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : "";
}

template <class T>
nlohmann::ordered_json OrNull(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

nlohmann::ordered_json OrNull(const std::optional<Interval>& interval) {
  if (!interval) return {};
  return nlohmann::ordered_json::array({interval->low, interval->high});
}

nlohmann::ordered_json ToJson(const PairedStatistics& paired) {
  nlohmann::ordered_json json;
  json["against"] = paired.against;
  json["against_run"] = paired.id;
  json["difference"] = paired.difference;
  json["standard_error"] = paired.standard_error;
  json["interval"] = OrNull(std::optional(paired.interval));
  if (paired.test) {
    json["lost"] = paired.test->lost;
    json["gained"] = paired.test->gained;
    json["p"] = paired.test->p;
    json["holm_p"] = OrNull(paired.holm_p);
  }
  if (paired.ratio) {
    json["ratio"] = *paired.ratio;
    json["ratio_interval"] = OrNull(paired.ratio_interval);
  }
  if (paired.retention) json["retention"] = *paired.retention;
  if (paired.retention_above_chance) {
    json["retention_above_chance"] = *paired.retention_above_chance;
  }
  return json;
}

nlohmann::ordered_json ToJson(const StatisticsRow& row) {
  nlohmann::ordered_json json;
  json["protocol"] = row.protocol;
  json["task"] = row.task;
  json["metric"] = row.metric;
  json["value"] = row.value;
  json["standard_error"] = OrNull(row.standard_error);
  json["count"] = OrNull(row.count);
  json["interval"] = OrNull(row.interval);
  json["interval_method"] = row.interval_method;
  if (row.nll) json["nll"] = *row.nll;
  json["flags"] = row.flags;
  json["comparisons"] = nlohmann::ordered_json::array();
  for (const PairedStatistics& paired : row.comparisons) {
    json["comparisons"].push_back(ToJson(paired));
  }
  return json;
}

}  // namespace

std::string StatisticsToText(const Statistics& statistics) {
  const std::vector<std::string> keys = KeysOf(statistics);
  std::string text;
  text += ToText(
      ValueSection(statistics, keys,
                   {"Accuracy in percent (95% intervals: Wilson; bootstrap for means and averages)",
                    {},
                    {"value", "error", "95% interval", "documents", "flags"},
                    {}},
                   AccuracyLine),
      keys);
  text += ToText(
      PairSection(statistics, keys,
                  {"Paired differences of accuracies, in points (95% bootstrap interval; McNemar's "
                   "exact test; Holm's correction over the tasks)",
                   {},
                   {"difference", "95% interval", "lost", "gained", "p", "Holm p", "retention",
                    "above chance"},
                   {}},
                  Group::kAccuracy, AccuracyPair),
      keys);
  text += ToText(ValueSection(statistics, keys,
                              {"Perplexity (95% bootstrap interval; block bootstrap over windows)",
                               {},
                               {"value", "95% interval", "nll", "count"},
                               {}},
                              PerplexityLine),
                 keys);
  text += ToText(PairSection(statistics, keys,
                             {"Paired differences of losses in nats, and ratios of perplexities",
                              {},
                              {"difference", "95% interval", "ratio", "95% interval"},
                              {}},
                             Group::kPerplexity, PerplexityPair),
                 keys);
  text += ToText(
      ValueSection(
          statistics, keys,
          {"Agreement with the dense model", {}, {"value", "error", "95% interval", "windows"}, {}},
          AgreementLine),
      keys);
  text += ToText(PairSection(statistics, keys,
                             {"Paired differences of agreement with the dense model",
                              {},
                              {"difference", "error", "95% interval"},
                              {}},
                             Group::kAgreement, AgreementPair),
                 keys);
  if (!text.empty()) text.pop_back();  // the empty line after the last section
  return text;
}

std::string StatisticsToCsv(const Statistics& statistics) {
  const std::vector<std::string> keys = {"model",      "dtype",       "method", "ratio",
                                         "ratio_kind", "calibration", "seed"};
  std::vector<std::string> heading = keys;
  for (const char* name : {"run",
                           "protocol",
                           "task",
                           "metric",
                           "value",
                           "standard_error",
                           "count",
                           "interval_low",
                           "interval_high",
                           "interval_method",
                           "flags",
                           "against",
                           "against_run",
                           "difference",
                           "difference_error",
                           "difference_low",
                           "difference_high",
                           "lost",
                           "gained",
                           "p",
                           "holm_p",
                           "ratio_of_perplexities",
                           "ratio_low",
                           "ratio_high",
                           "retention",
                           "retention_above_chance"}) {
    heading.emplace_back(name);
  }
  std::string out = CsvLine(heading);
  for (const CellStatistics& cell : statistics) {
    for (const StatisticsRow& row : cell.rows) {
      std::vector<std::string> fields = LineKeys(keys, cell, {cell.id, row.protocol});
      const auto low = [](const auto& i) { return i ? fmt::format("{}", i->low) : ""; };
      const auto high = [](const auto& i) { return i ? fmt::format("{}", i->high) : ""; };
      for (std::string field :
           {row.task, row.metric, fmt::format("{}", row.value), Digits(row.standard_error),
            row.count ? std::to_string(*row.count) : "", low(row.interval), high(row.interval),
            row.interval_method, Join(row.flags, " ")}) {
        fields.push_back(std::move(field));
      }
      if (row.comparisons.empty()) {
        fields.resize(heading.size());
        out += CsvLine(fields);
      }
      for (const PairedStatistics& paired : row.comparisons) {
        std::vector<std::string> line = fields;
        const std::optional<Interval> interval = paired.interval;
        for (std::string field :
             {paired.against, paired.id, fmt::format("{}", paired.difference),
              fmt::format("{}", paired.standard_error), low(interval), high(interval),
              paired.test ? std::to_string(paired.test->lost) : "",
              paired.test ? std::to_string(paired.test->gained) : "",
              paired.test ? fmt::format("{}", paired.test->p) : "", Digits(paired.holm_p),
              Digits(paired.ratio), low(paired.ratio_interval), high(paired.ratio_interval),
              Digits(paired.retention), Digits(paired.retention_above_chance)}) {
          line.push_back(std::move(field));
        }
        out += CsvLine(line);
      }
    }
  }
  return out;
}

std::string StatisticsToJson(const Statistics& statistics) {
  nlohmann::ordered_json cells = nlohmann::ordered_json::array();
  for (const CellStatistics& cell : statistics) {
    nlohmann::ordered_json json;
    json["run"] = cell.id;
    json["keys"] = cell.keys;
    json["statistics"] = nlohmann::ordered_json::array();
    for (const StatisticsRow& row : cell.rows) json["statistics"].push_back(ToJson(row));
    cells.push_back(std::move(json));
  }
  return cells.dump(-1, ' ', /*ensure_ascii=*/false) + "\n";
}

}  // namespace condense
