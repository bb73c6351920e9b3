// Places each measurement in a table, and checks what can be checked without values.
#pragma once

#include <string>
#include <vector>

#include "report/tables/table.h"

namespace condense {

using Keys = std::vector<std::string>;

struct Layout {
  std::vector<Keys> rows;     // ordered
  std::vector<Keys> columns;  // ordered; an empty one, if present, is first: the dense column
  // [row][column]: the measurements there, one per seed.
  std::vector<std::vector<std::vector<const Measurement*>>> places;

  bool HasDenseColumn(const TableSpec& spec) const {
    return !spec.columns.empty() && !columns.empty() && columns.front().empty();
  }
};

// ConfigError for unknown keys and for different measurements in one place.
Layout ArrangeMeasurements(const TableSpec& spec, const std::vector<Measurement>& measurements);

// ConfigError if a key of `spec.uniform` varies; else a note such as "ratio_kind: block" for each.
std::vector<std::string> CheckUniformKeys(const TableSpec& spec,
                                          const std::vector<Measurement>& measurements);

// "model=llama2-mini, method=slicegpt, ratio=0.2": the keys of rows and columns.
std::string DescribePlace(const TableSpec& spec, const Measurement& measurement);
// The label of `value`, or the value itself; a ratio as a percentage.
std::string ShownKey(const TableSpec& spec, const std::string& key, const std::string& value);

}  // namespace condense
