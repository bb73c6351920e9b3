#include "tokenizer/json_file.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/error.h"
#include "base/json_nesting.h"
#include "base/strings.h"

namespace condense {

using nlohmann::json;

namespace {

std::string LineAndColumn(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const size_t line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n');
  const size_t column = before.size() - (line_start == before.npos ? 0 : line_start + 1);
  return fmt::format("line {}, column {}", line, std::max<size_t>(column, 1));
}

// nlohmann's messages begin with "[json.exception...] parse error at line 1, column 2: ".
std::string_view Reason(std::string_view message) {
  const size_t colon = message.find(": ");
  if (colon != message.npos) message.remove_prefix(colon + 2);
  return message.substr(0, InvalidUtf8At(message).value_or(message.npos));
}

}  // namespace

std::string_view Quotable(std::string_view bytes) {
  bytes = bytes.substr(0, 80);
  return bytes.substr(0, InvalidUtf8At(bytes).value_or(bytes.npos));
}

JsonFile::JsonFile(const std::filesystem::path& path, std::string_view text)
    : name_(path.string()) {
  RefuseDeepJson(text, name_);
  std::vector<std::unordered_set<std::string>> open_objects;
  const auto refuse_duplicates = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == json::parse_event_t::object_end) open_objects.pop_back();
    if (event == json::parse_event_t::key &&
        !open_objects.back().insert(parsed.get_ref<const std::string&>()).second) {
      throw MakeError<DataError>("{}: the key \"{}\" occurs twice in one object", name_,
                                 parsed.get_ref<const std::string&>());
    }
    return true;
  };
  try {
    value_ = std::make_unique<json>(json::parse(text.begin(), text.end(), refuse_duplicates));
  } catch (const json::parse_error& error) {
    throw MakeError<DataError>("{}: malformed JSON at {} (byte {}): {}", name_,
                               LineAndColumn(text, error.byte), error.byte, Reason(error.what()));
  } catch (const json::exception& error) {
    throw MakeError<DataError>("{}: malformed JSON: {}", name_, Reason(error.what()));
  }
}

JsonFile::~JsonFile() = default;
JsonFile::JsonFile(JsonFile&&) noexcept = default;

JsonNode JsonFile::root() const { return {value_.get(), name_}; }

std::string JsonNode::Child(std::string_view key) const {
  // The file's name ends with the first ": "; below it, members are joined by dots.
  return where_ + (where_.find(": ") == std::string::npos ? ": " : ".") + std::string(key);
}

void JsonNode::WrongType(std::string_view expected) const {
  throw MakeError<DataError>("{}: expected {}, found {} {}", where_, expected, value_->type_name(),
                             value_->is_structured() ? "" : value_->dump());
}

std::optional<JsonNode> JsonNode::Find(std::string_view key) const {
  if (!value_->is_object()) WrongType("an object");
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return JsonNode(&*found, Child(key));
}

JsonNode JsonNode::At(std::string_view key) const {
  if (auto found = Find(key)) return *found;
  throw MakeError<DataError>("{}: the key \"{}\" is missing", where_, key);
}

std::vector<JsonNode> JsonNode::Elements() const {
  if (!value_->is_array()) WrongType("an array");
  std::vector<JsonNode> elements;
  elements.reserve(value_->size());
  for (const json& element : *value_) {
    elements.emplace_back(&element, fmt::format("{}[{}]", where_, elements.size()));
  }
  return elements;
}

std::vector<std::string> JsonNode::Keys() const {
  if (!value_->is_object()) WrongType("an object");
  std::vector<std::string> keys;
  for (const auto& member : value_->items()) keys.push_back(member.key());
  return keys;
}

bool JsonNode::IsString() const { return value_->is_string(); }
bool JsonNode::IsObject() const { return value_->is_object(); }
bool JsonNode::IsArray() const { return value_->is_array(); }

std::string JsonNode::String() const {
  if (!value_->is_string()) WrongType("a string");
  return value_->get<std::string>();
}

bool JsonNode::Bool() const {
  if (!value_->is_boolean()) WrongType("true or false");
  return value_->get<bool>();
}

int64_t JsonNode::Integer() const {
  if (!value_->is_number_integer()) WrongType("an integer");
  if (value_->is_number_unsigned() &&
      value_->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    WrongType("an integer below 2^63");
  }
  return value_->get<int64_t>();
}

std::string JsonNode::StringOr(std::string_view key, std::string_view otherwise) const {
  const auto found = Find(key);
  return found ? found->String() : std::string(otherwise);
}

bool JsonNode::BoolOr(std::string_view key, bool otherwise) const {
  const auto found = Find(key);
  return found ? found->Bool() : otherwise;
}

}  // namespace condense
