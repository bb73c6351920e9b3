// Tables for the terminal: columns aligned by spaces, numbers to the right.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "report/tables/render.h"

namespace condense {
namespace {

// A field as printed, with its width in columns of the terminal.
struct Field {
  std::string text;
  bool bold = false;

  size_t width() const { return CodePointCount(text); }
};

using Line = std::vector<Field>;

bool MarksBest(const Table& table, size_t column) {
  return std::any_of(table.rows.begin(), table.rows.end(),
                     [&](const TableRow& row) { return row.cells[column].best; });
}

Line LineOf(const Table& table, size_t r, TextStyle style) {
  Line line;
  const TableRow& row = table.rows[r];
  bool repeats = r > 0;
  for (size_t i = 0; i < row.shown.size(); ++i) {
    repeats = repeats && i + 1 < row.shown.size() && row.keys[i] == table.rows[r - 1].keys[i];
    line.push_back({repeats ? "" : row.shown[i]});
  }
  if (!row.mark.empty()) line.back().text += fmt::format("[{}]", row.mark);
  for (size_t c = 0; c < row.cells.size(); ++c) {
    const TableCell& cell = row.cells[c];
    std::string text = cell.text;
    if (!cell.mark.empty()) text += fmt::format("[{}]", cell.mark);
    if (style == TextStyle::kPlain) {
      // The other rows get a space in place of the asterisk, so that the digits stay aligned.
      if (cell.best) {
        text += "*";
      } else if (MarksBest(table, c)) {
        text += " ";
      }
    }
    line.push_back({text, style == TextStyle::kTerminal && cell.best});
  }
  return line;
}

std::string Print(const Line& line, const std::vector<size_t>& widths, size_t keys) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    const std::string padding(widths[i] - line[i].width(), ' ');
    const std::string text =
        line[i].bold ? fmt::format("\033[1m{}\033[0m", line[i].text) : line[i].text;
    if (i > 0) out += "  ";
    out += i < keys ? text + padding : padding + text;
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out + "\n";
}

}  // namespace

std::string ToText(const Table& table, TextStyle style) {
  const size_t keys = table.row_headings.size();
  Line heading;
  for (const std::string& key : table.row_headings) heading.push_back({key});
  for (size_t c = 0; c < table.columns.size(); ++c) {
    const bool room = style == TextStyle::kPlain && MarksBest(table, c);
    heading.push_back({table.columns[c].heading + (room ? " " : "")});
  }
  std::vector<Line> lines;
  std::vector<size_t> widths;
  for (const Field& field : heading) widths.push_back(field.width());
  for (size_t r = 0; r < table.rows.size(); ++r) {
    lines.push_back(LineOf(table, r, style));
    for (size_t i = 0; i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], lines.back()[i].width());
    }
  }
  size_t total = 2 * (widths.size() - 1);
  for (const size_t width : widths) total += width;
  const std::string rule = std::string(total, '-') + "\n";

  std::string out;
  if (!table.title.empty()) out += table.title + "\n\n";
  out += Print(heading, widths, keys) + rule;
  for (size_t r = 0; r < lines.size(); ++r) {
    if (table.rows[r].starts_group) out += rule;
    out += Print(lines[r], widths, keys);
  }
  if (!table.notes.empty() || !table.footnotes.empty()) out += "\n";
  if (!table.notes.empty()) out += Join(table.notes, "; ") + ".\n";
  for (const auto& [mark, text] : table.footnotes) out += fmt::format("[{}] {}\n", mark, text);
  return out;
}

}  // namespace condense
