// Comma-separated values as RFC 4180 has them, written and read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace condense {

// One record with its line end; fields are quoted where they must be.
std::string CsvLine(const std::vector<std::string>& fields);

struct CsvRecord {
  int line = 0;  // where it begins, from 1
  std::vector<std::string> fields;
};

// All records. Lines may end with or without a carriage return; a byte-order mark is passed over.
// DataError, with `name` and line, for quotes that are not closed or stand inside a plain field.
std::vector<CsvRecord> ParseCsv(std::string_view text, std::string_view name);

// Records by the names of their columns, which the first record lists.
class CsvTable {
 public:
  // DataError if there is no heading, or a record has another number of fields than it.
  CsvTable(std::string_view text, std::string name);

  size_t size() const { return records_.size(); }
  const std::string& Field(size_t row, std::string_view column) const;  // DataError: no such column
  bool HasColumn(std::string_view column) const;
  std::string Place(size_t row) const;  // "zero_shot.csv:12"

 private:
  std::string name_;
  std::vector<std::string> heading_;
  std::vector<CsvRecord> records_;
};

}  // namespace condense
