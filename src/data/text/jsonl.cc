#include "data/text/jsonl.h"

#include <optional>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"

namespace condense {
namespace {

using nlohmann::json;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// "a string", "an array"
std::string Kind(const json& value) {
  return fmt::format("{} {}", value.is_array() || value.is_object() ? "an" : "a",
                     value.type_name());
}

void RequireObject(const json& value, const std::string& place) {
  if (value.is_object()) return;
  throw MakeError<DataError>("{}: expected an object {{...}}, found {}", place, Kind(value));
}

}  // namespace

void ForEachJsonLine(std::string_view text, const std::filesystem::path& path,
                     const JsonRecordFunction& record) {
  if (StartsWith(text, kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::optional<std::string> empty_line;
  for (int64_t line_number = 1; !text.empty(); ++line_number) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    const std::string place = fmt::format("{}:{}", path.string(), line_number);
    if (Trim(line).empty()) {
      if (!empty_line) empty_line = place;
      continue;
    }
    if (empty_line) {
      throw MakeError<DataError>("{}: the line is empty; expected a JSON object", *empty_line);
    }
    if (const auto invalid = InvalidUtf8At(line)) {
      throw MakeError<DataError>("{}: invalid UTF-8 at byte {} of the line", place, *invalid);
    }
    const json value = ParseJson(line, place, DuplicateKeys::kLastCounts);
    RequireObject(value, place);
    record(value, place);
  }
}

void ForEachJsonElement(std::string_view text, const std::filesystem::path& path,
                        const JsonRecordFunction& record) {
  if (const auto invalid = InvalidUtf8At(text)) {
    throw MakeError<DataError>("{}: invalid UTF-8 at byte {}", path.string(), *invalid);
  }
  const json all = ParseJson(text, path.string(), DuplicateKeys::kLastCounts);
  if (!all.is_array()) {
    throw MakeError<DataError>("{}: expected an array of records, found {}", path.string(),
                               Kind(all));
  }
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string place = fmt::format("{}: record {}", path.string(), i + 1);
    RequireObject(all[i], place);
    record(all[i], place);
  }
}

std::string JsonText(const json& record, const std::string& key, const std::string& place) {
  const auto found = record.find(key);
  if (found == record.end()) {
    std::vector<std::string> keys;
    for (const auto& [name, value] : record.items()) keys.push_back(name);
    const auto near = NearestName(key, keys);
    throw MakeError<DataError>("{}: no field \"{}\"; the record has {}{}", place, key,
                               keys.empty() ? "none" : Join(keys, ", "),
                               near ? fmt::format("; is '{}' meant?", *near) : "");
  }
  if (!found->is_string()) {
    throw MakeError<DataError>("{}: field \"{}\" is {}; expected a string", place, key,
                               Kind(*found));
  }
  return found->get<std::string>();
}

}  // namespace condense
