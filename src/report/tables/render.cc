#include "report/tables/render.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "report/csv.h"

namespace condense {
namespace {

using State = TableCell::State;

// Row keys as printed: a key that repeats the row above is left out. The last key is always printed
// and carries the mark of the row.
std::vector<std::string> ShownKeys(const Table& table, size_t r) {
  std::vector<std::string> shown = table.rows[r].shown;
  for (size_t i = 0; r > 0 && i + 1 < shown.size(); ++i) {
    if (table.rows[r].keys[i] != table.rows[r - 1].keys[i]) break;
    shown[i].clear();
  }
  return shown;
}

// Every character in `special` replaced by `replace(c)`.
template <class Replace>
std::string Escaped(const std::string& text, Replace replace) {
  std::string out;
  for (const char c : text) out += replace(c);
  return out;
}

std::string MarkdownText(const std::string& text) {
  return Escaped(text, [](char c) -> std::string {
    if (c == '\n') return " ";
    const bool special = c == '|' || c == '\\' || c == '*' || c == '`' || c == '<';
    return special ? std::string{'\\', c} : std::string(1, c);
  });
}

std::string LatexText(const std::string& text) {
  std::string escaped = Escaped(text, [](char c) -> std::string {
    switch (c) {
      case '&':
      case '%':
      case '$':
      case '#':
      case '_':
      case '{':
      case '}':
        return std::string{'\\', c};
      case '[':  // after the end of a line these two would be taken for its argument
      case '*':
        return std::string{'{', c, '}'};
      case '~':
        return "\\textasciitilde{}";
      case '^':
        return "\\textasciicircum{}";
      case '\\':
        return "\\textbackslash{}";
      case '<':
        return "$<$";
      case '>':
        return "$>$";
      case '\n':
        return " ";
      default:
        return std::string(1, c);
    }
  });
  const std::string plus_minus = "±";
  for (size_t at; (at = escaped.find(plus_minus)) != std::string::npos;) {
    escaped.replace(at, plus_minus.size(), "$\\pm$");
  }
  return escaped;
}

std::string LatexCell(const TableCell& cell) {
  if (cell.state == State::kMissing) return "--";
  std::string text = LatexText(cell.text);
  if (cell.state == State::kValue && StartsWith(text, "-")) text.replace(0, 1, "$-$");
  if (cell.best) text = fmt::format("\\textbf{{{}}}", text);
  if (!cell.mark.empty()) text += fmt::format("\\textsuperscript{{{}}}", cell.mark);
  return text;
}

const char* NameOf(ValueColumn::Kind kind) {
  switch (kind) {
    case ValueColumn::Kind::kValue:
      return "value";
    case ValueColumn::Kind::kRelativeToDense:
      return "relative";
    case ValueColumn::Kind::kRetention:
      return "retention";
    case ValueColumn::Kind::kRetentionAboveChance:
      return "retention_above_chance";
  }
  return "";
}

std::string Digits(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : "";
}

}  // namespace

std::string ToMarkdown(const Table& table) {
  std::string out;
  if (!table.title.empty()) out += fmt::format("**{}**\n\n", MarkdownText(table.title));
  std::vector<std::string> heading, rule;
  for (const std::string& key : table.row_headings) {
    heading.push_back(MarkdownText(key));
    rule.emplace_back("---");
  }
  for (const TableColumn& column : table.columns) {
    heading.push_back(MarkdownText(column.heading));
    rule.emplace_back("---:");
  }
  out += fmt::format("| {} |\n| {} |\n", Join(heading, " | "), Join(rule, " | "));
  for (size_t r = 0; r < table.rows.size(); ++r) {
    std::vector<std::string> fields;
    for (const std::string& key : ShownKeys(table, r)) fields.push_back(MarkdownText(key));
    const std::string& row_mark = table.rows[r].mark;
    if (!row_mark.empty()) fields.back() += fmt::format("<sup>{}</sup>", row_mark);
    for (const TableCell& cell : table.rows[r].cells) {
      std::string text = MarkdownText(cell.text);
      if (cell.best) text = fmt::format("**{}**", text);
      if (!cell.mark.empty()) text += fmt::format("<sup>{}</sup>", cell.mark);
      fields.push_back(text);
    }
    out += fmt::format("| {} |\n", Join(fields, " | "));
  }
  if (!table.notes.empty()) {
    out += fmt::format("\n{}.\n", MarkdownText(Join(table.notes, "; ")));
  }
  for (const auto& [mark, text] : table.footnotes) {
    out += fmt::format("\n<sup>{}</sup> {}\n", mark, MarkdownText(text));
  }
  return out;
}

std::string ToLatex(const Table& table) {
  std::string title = table.title;
  std::replace(title.begin(), title.end(), '\n', ' ');
  std::string out = fmt::format("% {}\n", title);
  out += fmt::format("\\begin{{tabular}}{{{}{}}}\n\\toprule\n",
                     std::string(table.row_headings.size(), 'l'),
                     std::string(table.columns.size(), 'r'));
  std::vector<std::string> heading;
  for (const std::string& key : table.row_headings) heading.push_back(LatexText(key));
  for (const TableColumn& column : table.columns) heading.push_back(LatexText(column.heading));
  out += Join(heading, " & ") + " \\\\\n\\midrule\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    if (table.rows[r].starts_group) out += "\\midrule\n";
    std::vector<std::string> fields;
    for (const std::string& key : ShownKeys(table, r)) fields.push_back(LatexText(key));
    const std::string& row_mark = table.rows[r].mark;
    if (!row_mark.empty()) fields.back() += fmt::format("\\textsuperscript{{{}}}", row_mark);
    for (const TableCell& cell : table.rows[r].cells) fields.push_back(LatexCell(cell));
    out += Join(fields, " & ") + " \\\\\n";
  }
  out += "\\bottomrule\n\\end{tabular}\n";
  std::vector<std::string> notes;
  if (!table.notes.empty()) notes.push_back(LatexText(Join(table.notes, "; ")) + ".");
  for (const auto& [mark, text] : table.footnotes) {
    notes.push_back(fmt::format("\\textsuperscript{{{}}}\\,{}", mark, LatexText(text)));
  }
  if (!notes.empty()) {
    out += fmt::format("\\par\\smallskip\n{{\\footnotesize {}\\par}}\n", Join(notes, "\\\\\n"));
  }
  return out;
}

std::string ToCsv(const Table& table) {
  std::vector<std::string> heading = table.row_keys;
  heading.insert(heading.end(), table.column_keys.begin(), table.column_keys.end());
  for (const char* name :
       {"metric", "task", "shown", "protocol", "value", "standard_error", "half_interval_95",
        "seeds", "best", "flags", "status", "error_class", "runs"}) {
    heading.emplace_back(name);
  }
  std::string out = CsvLine(heading);
  for (const TableRow& row : table.rows) {
    for (size_t c = 0; c < row.cells.size(); ++c) {
      const TableCell& cell = row.cells[c];
      const TableColumn& column = table.columns[c];
      if (cell.state == State::kBlank) continue;
      const bool has_value = cell.state == State::kValue;
      std::vector<std::string> fields = row.keys;
      std::vector<std::string> keys = column.keys;
      keys.resize(table.column_keys.size());  // the dense column has none
      fields.insert(fields.end(), keys.begin(), keys.end());
      fields.push_back(column.metric);
      fields.push_back(column.task);
      fields.push_back(NameOf(column.kind));
      fields.push_back(cell.protocol);
      fields.push_back(has_value ? fmt::format("{}", cell.value) : "");
      fields.push_back(Digits(cell.standard_error));
      fields.push_back(Digits(cell.half_interval));
      fields.push_back(fmt::format("{}", cell.seeds));
      fields.emplace_back(cell.best ? "yes" : "");
      fields.push_back(Join(cell.flags, " "));
      fields.emplace_back(has_value ? "done" : cell.state == State::kFailed ? "failed" : "missing");
      fields.push_back(cell.error_class);
      fields.push_back(Join(cell.ids, " "));
      out += CsvLine(fields);
    }
  }
  return out;
}

}  // namespace condense
