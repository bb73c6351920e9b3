// Which cells of a column are marked as the best.
#pragma once

#include "report/tables/layout.h"
#include "report/tables/value_reader.h"

namespace condense {

struct BestSearch {
  const TableSpec& spec;
  const Layout& layout;
  size_t layout_column = 0;
  Better better = Better::kNeither;
  ValueReader& reader;
  ScoreSource* scores = nullptr;  // may be null
};

// Marks the best value of each set of rows that differ in the compared keys alone, and with it what
// prints the same or differs by no more than paired noise. Dense models do not compete. Returns
// whether noise decided for any of them.
bool MarkBest(const BestSearch& search, size_t column, Table& table);

}  // namespace condense
