// Typed access to the keys of a JSON object, with errors that name file, key, found and expected.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace condense {

class JsonReader {
 public:
  JsonReader(const nlohmann::json& object, std::string file, std::string path = "")
      : object_(object), file_(std::move(file)), path_(std::move(path)) {
    if (!object.is_object()) {
      throw MakeError<DataError>("{}: {} is {}, expected an object", file_,
                                 path_.empty() ? "the top level" : path_, object.type_name());
    }
  }

  bool Has(const std::string& key) const {
    const auto found = object_.find(key);
    return found != object_.end() && !found->is_null();
  }

  template <class T>
  T Get(const std::string& key) const {
    if (!Has(key)) throw MakeError<DataError>("{}: key '{}' is missing", file_, Full(key));
    return Convert<T>(object_.at(key), key);
  }

  template <class T>
  T Get(const std::string& key, T absent) const {
    return Has(key) ? Convert<T>(object_.at(key), key) : absent;
  }

  // A size: an integer from 1 to `most`, which keeps a damaged file from filling the memory.
  int64_t Size(const std::string& key, int64_t most = int64_t{1} << 31) const {
    const auto value = Get<int64_t>(key);
    if (value < 1 || value > most) {
      throw MakeError<DataError>("{}: '{}' is {}, expected 1 ... {}", file_, Full(key), value,
                                 most);
    }
    return value;
  }
  // A number of layers or heads.
  int64_t Count(const std::string& key) const { return Size(key, 4096); }

  JsonReader Child(const std::string& key) const {
    if (!Has(key)) throw MakeError<DataError>("{}: key '{}' is missing", file_, Full(key));
    return JsonReader(object_.at(key), file_, Full(key));
  }

  const nlohmann::json& object() const { return object_; }
  const std::string& file() const { return file_; }
  std::string Full(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

 private:
  // As much of a value as a message has room for.
  static std::string Shown(const nlohmann::json& value) {
    constexpr size_t kRoom = 200;
    const std::string text = value.dump();
    if (text.size() <= kRoom) return text;
    return value.dump(/*indent=*/-1, ' ', /*ensure_ascii=*/true).substr(0, kRoom) + "...";
  }

  template <class T>
  T Convert(const nlohmann::json& value, const std::string& key) const {
    bool fits = false;
    const char* expected = "";
    if constexpr (std::is_same_v<T, bool>) {
      fits = value.is_boolean(), expected = "true or false";
    } else if constexpr (std::is_integral_v<T>) {
      fits = value.is_number_integer(), expected = "an integer";
    } else if constexpr (std::is_floating_point_v<T>) {
      fits = value.is_number(), expected = "a number";
    } else {
      fits = value.is_string(), expected = "a string";
    }
    if (!fits) {
      throw MakeError<DataError>("{}: '{}' is {}, expected {}", file_, Full(key), Shown(value),
                                 expected);
    }
    return value.get<T>();
  }

  const nlohmann::json& object_;
  std::string file_, path_;
};

}  // namespace condense
