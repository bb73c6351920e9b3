// The metadata of a GGUF file: typed values by key.
//
// Texts and arrays of numbers are views of the memory map, which the metadata keeps alive.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"

namespace condense {

// Types of values, numbered as in the file.
enum class GgufKind : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};
inline constexpr uint32_t kGgufKinds = 13;

std::string GgufKindName(GgufKind kind);  // "uint32", "string"
// Bytes of a number or bool; nullopt for strings and arrays.
std::optional<uint64_t> GgufKindBytes(GgufKind kind);

struct GgufArray {
  GgufKind element = GgufKind::kUint8;
  uint64_t count = 0;
  // One of the three is filled.
  std::string_view numbers;  // also bools; little-endian, not aligned
  std::vector<std::string_view> strings;
  std::vector<GgufArray> arrays;
};

struct GgufValue {
  GgufKind kind = GgufKind::kUint8;
  // By kind: unsigned, signed, floating-point, bool, string, array.
  std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray> value;
};

// The number or bool at `bytes`, which holds at least GgufKindBytes(kind).
GgufValue GgufScalar(GgufKind kind, const char* bytes);

class GgufMetadata {
 public:
  explicit GgufMetadata(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {}

  // False if there is a value of that key already.
  bool Add(std::string key, GgufValue value);
  const std::map<std::string, GgufValue, std::less<>>& values() const { return values_; }
  const GgufValue* Find(std::string_view key) const;

  // nullopt or null where the key is absent; DataError, with file and key, where the value is of
  // another kind. An integer may be of any width; a number may be an integer or floating-point.
  std::optional<int64_t> Integer(std::string_view key) const;
  std::optional<double> Number(std::string_view key) const;
  std::optional<bool> Bool(std::string_view key) const;
  std::optional<std::string_view> String(std::string_view key) const;
  const std::vector<std::string_view>* Strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> Integers(std::string_view key) const;
  std::optional<std::vector<double>> Numbers(std::string_view key) const;

 private:
  [[noreturn]] void ThrowOtherKind(std::string_view key, const GgufValue& value,
                                   const char* expected) const;

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, GgufValue, std::less<>> values_;
};

}  // namespace condense
