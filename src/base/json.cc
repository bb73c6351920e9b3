#include "base/json.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

using Json = nlohmann::json;

// Reads characters and tells, through `position`, how far the parser has come.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** position) : at_(at), position_(position) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *position_ = ++at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** position_;
};

// Line and column of the last character that was read. The library's own are wrong after a number
// at the end of a line.
std::string PlaceString(std::string_view text, size_t characters_read) {
  const size_t position = std::clamp<size_t>(characters_read, 1, text.size() + 1);
  const std::string_view before = text.substr(0, position - 1);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return fmt::format("line {}, column {}", line, position - start);
}

// Goes through a text once and throws at the first fault. The values themselves are parsed after
// it: the library's parser with a callback looks at all members of an object for each of them.
class Checker final : public Json::json_sax_t {
 public:
  Checker(std::string_view text, const std::string& where, DuplicateKeys duplicates)
      : text_(text), where_(where), duplicates_(duplicates), position_(text.data()) {}

  void Check() {
    const bool good = Json::sax_parse(CountingIterator(text_.data(), &position_),
                                      CountingIterator(text_.data() + text_.size(), &position_),
                                      static_cast<Json::json_sax_t*>(this));
    CONDENSE_CHECK(good, "{}: a fault that was not reported", where_);
  }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_array(size_t) override { return Open(); }
  bool start_object(size_t) override { return Open(); }
  bool end_array() override { return Close(); }
  bool end_object() override { return Close(); }
  bool key(string_t& name) override {
    if (duplicates_ == DuplicateKeys::kLastCounts || keys_.back().insert(name).second) return true;
    throw MakeError<DataError>("{}: {}: the key {} occurs twice in one object", where_, Place(),
                               Json(name).dump());
  }
  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    throw MakeError<DataError>("{}: not valid JSON: {}: {}{}", where_, PlaceString(text_, position),
                               JsonReason(error.what()),
                               position > text_.size() ? "; was the file cut off here?" : "");
  }

 private:
  bool Open() {
    if (keys_.size() == kDeepestJson) {
      throw MakeError<DataError>(
          "{}: {}: JSON nested more than {} levels deep; no such file has that many, so it is "
          "damaged or hostile",
          where_, Place(), kDeepestJson);
    }
    keys_.emplace_back();
    return true;
  }
  bool Close() {
    keys_.pop_back();
    return true;
  }
  std::string Place() const {
    return PlaceString(text_, static_cast<size_t>(position_ - text_.data()));
  }

  std::string_view text_;
  const std::string& where_;
  DuplicateKeys duplicates_;
  const char* position_;
  std::vector<std::unordered_set<std::string>> keys_;  // of each array and object that is open
};

}  // namespace

Json ParseJson(std::string_view text, const std::string& where, DuplicateKeys duplicates) {
  Checker(text, where, duplicates).Check();
  return Json::parse(text.begin(), text.end());
}

// "[json.exception.parse_error.101] parse error at line 3, column 0: ..."
std::string JsonReason(std::string text) {
  const size_t colon = text.find(": "), bracket = text.find("] ");
  const bool placed = text.find("parse error at line") < colon && colon != std::string::npos;
  if (placed) {
    text.erase(0, colon + 2);
  } else if (bracket != std::string::npos) {
    text.erase(0, bracket + 2);
  }
  return text.substr(0, InvalidUtf8At(text).value_or(text.npos));
}

}  // namespace condense
