// Marks the best cells of a column.
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

// Marks the best value in each set of rows that differ only in the compared keys, and those that
// are printed alike or do not differ significantly from it in a paired test. Dense models do not
// compete. Returns whether a test decided for any of them.
bool MarkBest(const BestSearch& search, size_t column, Table& table);

}  // namespace condense
