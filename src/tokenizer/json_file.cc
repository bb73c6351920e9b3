#include "tokenizer/json_file.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"

namespace condense {

using nlohmann::json;

std::string_view Quotable(std::string_view bytes) {
  bytes = bytes.substr(0, 80);
  return bytes.substr(0, InvalidUtf8At(bytes).value_or(bytes.npos));
}

JsonFile::JsonFile(const std::filesystem::path& path, std::string_view text)
    : name_(path.string()), value_(std::make_unique<json>(ParseJson(text, name_))) {}

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
