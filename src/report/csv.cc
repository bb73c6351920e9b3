#include "report/csv.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += std::string(c == '"' ? 2 : 1, c);
  return quoted + "\"";
}

// Reads one field after another.
class CsvScanner {
 public:
  CsvScanner(std::string_view text, std::string_view name) : text_(text), name_(name) {
    if (StartsWith(text_, "\xEF\xBB\xBF")) at_ = 3;
  }

  bool AtEnd() const { return at_ >= text_.size(); }
  int line() const { return line_; }

  std::string Field() { return !AtEnd() && text_[at_] == '"' ? QuotedField() : PlainField(); }

  // Passes what separates fields. True when another field of the record follows.
  bool PassSeparator() {
    if (AtEnd()) return false;
    if (text_[at_] == ',') {
      ++at_;
      return true;
    }
    if (text_.substr(at_, 2) == "\r\n") ++at_;
    if (text_[at_] != '\n') Refuse("text after a closing quote; expected a comma or a line end");
    ++at_;
    ++line_;
    return false;
  }

 private:
  std::string PlainField() {
    const size_t begin = at_;
    while (!AtEnd() && text_[at_] != ',' && text_[at_] != '\n' && text_[at_] != '"') ++at_;
    if (!AtEnd() && text_[at_] == '"') Refuse("a quote inside a field that is not quoted");
    std::string_view field = text_.substr(begin, at_ - begin);
    const bool at_line_end = AtEnd() || text_[at_] == '\n';
    if (at_line_end && EndsWith(field, "\r")) field.remove_suffix(1);
    return std::string(field);
  }

  std::string QuotedField() {
    std::string field;
    const int opened = line_;
    for (++at_; !AtEnd(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] != '"') {
        field += text_[at_];
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
        field += text_[at_++];
      } else {
        ++at_;
        return field;
      }
    }
    line_ = opened;
    Refuse("a quoted field is not closed");
  }

  [[noreturn]] void Refuse(const char* what) const {
    throw MakeError<DataError>("{}:{}: {}", name_, line_, what);
  }

  std::string_view text_, name_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

std::string CsvLine(const std::vector<std::string>& fields) {
  std::vector<std::string> quoted;
  for (const std::string& field : fields) quoted.push_back(CsvField(field));
  return Join(quoted, ",") + "\n";
}

std::vector<CsvRecord> ParseCsv(std::string_view text, std::string_view name) {
  CsvScanner scanner(text, name);
  std::vector<CsvRecord> records;
  while (!scanner.AtEnd()) {
    CsvRecord record{scanner.line(), {}};
    do {
      record.fields.push_back(scanner.Field());
    } while (scanner.PassSeparator());
    records.push_back(std::move(record));
  }
  return records;
}

CsvTable::CsvTable(std::string_view text, std::string name)
    : name_(std::move(name)), records_(ParseCsv(text, name_)) {
  if (records_.empty()) throw MakeError<DataError>("{}: is empty; expected a heading", name_);
  heading_ = records_.front().fields;
  records_.erase(records_.begin());
  for (const CsvRecord& record : records_) {
    if (record.fields.size() == heading_.size()) continue;
    throw MakeError<DataError>("{}:{}: {} fields, but the heading has {}", name_, record.line,
                               record.fields.size(), heading_.size());
  }
}

bool CsvTable::HasColumn(std::string_view column) const {
  return std::find(heading_.begin(), heading_.end(), column) != heading_.end();
}

const std::string& CsvTable::Field(size_t row, std::string_view column) const {
  const auto found = std::find(heading_.begin(), heading_.end(), column);
  if (found == heading_.end()) {
    throw MakeError<DataError>("{}: has no column '{}'{}", name_, column,
                               SuggestName(column, heading_));
  }
  return records_[row].fields[static_cast<size_t>(found - heading_.begin())];
}

std::string CsvTable::Place(size_t row) const {
  return fmt::format("{}:{}", name_, records_[row].line);
}

}  // namespace condense
