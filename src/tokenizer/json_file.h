// JSON files whose errors name the file and the place.
//
// A node remembers the path by which it was reached ("model.merges[3]"), so that a wrong type deep
// in a tokenizer.json is reported with its place. A key that occurs twice in one object is refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace condense {

// As much of a file's bytes as a message can show: the first 80, up to one that is not UTF-8.
std::string_view Quotable(std::string_view bytes);

class JsonNode {
 public:
  JsonNode(const nlohmann::json* value, std::string where)
      : value_(value), where_(std::move(where)) {}

  // The member `key`; nullopt if it is absent or null. DataError if this is not an object.
  std::optional<JsonNode> Find(std::string_view key) const;
  JsonNode At(std::string_view key) const;  // DataError if absent or null
  std::vector<JsonNode> Elements() const;   // of an array
  std::vector<std::string> Keys() const;    // of an object

  bool IsString() const;
  bool IsObject() const;
  bool IsArray() const;
  std::string String() const;
  bool Bool() const;
  int64_t Integer() const;

  std::string StringOr(std::string_view key, std::string_view otherwise) const;
  bool BoolOr(std::string_view key, bool otherwise) const;

  // "tokenizer.json: model.merges[3]", to begin an error message with.
  const std::string& where() const { return where_; }
  const nlohmann::json& value() const { return *value_; }
  std::string Child(std::string_view key) const;

 private:
  [[noreturn]] void WrongType(std::string_view expected) const;

  const nlohmann::json* value_;
  std::string where_;
};

class JsonFile {
 public:
  JsonFile(const std::filesystem::path& path, std::string_view text);
  ~JsonFile();
  JsonFile(JsonFile&&) noexcept;

  JsonNode root() const;

 private:
  std::string name_;
  std::unique_ptr<nlohmann::json> value_;
};

}  // namespace condense
