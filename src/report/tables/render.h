// A table as text. Markdown, LaTeX and plain text print the same rounded cells. CSV is for further
// computation: one line per cell, every digit, and the fingerprints of the runs behind it.
#pragma once

#include <string>

#include "report/tables/table.h"

namespace condense {

std::string ToMarkdown(const Table& table);
// A tabular for \input, with rules of the package booktabs; notes follow in \footnotesize. The best
// value of a column is bold.
std::string ToLatex(const Table& table);
std::string ToCsv(const Table& table);

enum class TextStyle {
  kPlain,     // the best value of a column carries an asterisk
  kTerminal,  // or is bold, by an escape sequence
};
std::string ToText(const Table& table, TextStyle style);

}  // namespace condense
