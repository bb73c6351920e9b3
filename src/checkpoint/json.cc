#include "checkpoint/json.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json_nesting.h"

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

// The library's message without its beginning, "[json.exception.parse_error.101] parse error at
// line 3, column 0: ".
std::string Reason(const Json::exception& error) {
  const std::string text = error.what();
  const size_t colon = text.find(": ");
  const size_t bracket = text.find("] ");
  const bool placed = text.find("parse error at line") < colon && colon != std::string::npos;
  if (placed) return text.substr(colon + 2);
  return bracket == std::string::npos ? text : text.substr(bracket + 2);
}

}  // namespace

Json ParseJson(std::string_view text, const std::string& where) {
  RefuseDeepJson(text, where);
  const char* position = text.data();
  std::vector<std::set<std::string>> open;  // keys seen in each object that is not closed yet
  const auto watch = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && !open.back().insert(value.get<std::string>()).second) {
      throw MakeError<DataError>("{}: {}: the key {} occurs twice in one object", where,
                                 PlaceString(text, static_cast<size_t>(position - text.data())),
                                 value.dump());
    }
    return true;
  };
  try {
    return Json::parse(CountingIterator(text.data(), &position),
                       CountingIterator(text.data() + text.size(), &position), watch);
  } catch (const Json::parse_error& error) {
    throw MakeError<DataError>("{}: not valid JSON: {}: {}", where, PlaceString(text, error.byte),
                               Reason(error));
  } catch (const Json::exception& error) {
    throw MakeError<DataError>("{}: not valid JSON: {}", where, Reason(error));
  }
}

Json ReadJson(const std::filesystem::path& path) {
  return ParseJson(ReadFile(path), path.string());
}

void WriteJson(const std::filesystem::path& path, const Json& value) {
  std::string text;
  try {
    text = value.dump(/*indent=*/2) + "\n";
  } catch (const Json::exception& error) {
    throw MakeError<DataError>("{}: cannot be written as JSON: {}", path.string(), Reason(error));
  }
  WriteFileAtomically(path, text);
}

}  // namespace condense
