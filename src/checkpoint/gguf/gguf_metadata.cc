#include "checkpoint/gguf/gguf_metadata.h"

#include <array>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/error.h"

namespace condense {
namespace {

struct KindFacts {
  const char* name;
  uint64_t bytes;  // 0: not of a fixed size
};

constexpr std::array<KindFacts, kGgufKinds> kKinds{{{"uint8", 1},
                                                    {"int8", 1},
                                                    {"uint16", 2},
                                                    {"int16", 2},
                                                    {"uint32", 4},
                                                    {"int32", 4},
                                                    {"float32", 4},
                                                    {"bool", 1},
                                                    {"string", 0},
                                                    {"array", 0},
                                                    {"uint64", 8},
                                                    {"int64", 8},
                                                    {"float64", 8}}};

template <class Stored, class Value>
GgufValue Scalar(GgufKind kind, const char* bytes) {
  Stored stored;
  std::memcpy(&stored, bytes, sizeof stored);
  return {kind, static_cast<Value>(stored)};
}

// An integer of any kind that an int64 holds.
std::optional<int64_t> AsInteger(const GgufValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value.value)) return *number;
  const auto* number = std::get_if<uint64_t>(&value.value);
  constexpr auto kLimit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (number == nullptr || *number > kLimit) return std::nullopt;
  return static_cast<int64_t>(*number);
}

std::optional<double> AsNumber(const GgufValue& value) {
  if (const auto* number = std::get_if<double>(&value.value)) return *number;
  if (const auto number = AsInteger(value)) return static_cast<double>(*number);
  return std::nullopt;
}

// Every element of an array by `convert`; nullopt if the value is no such array.
template <class Convert>
auto Elements(const GgufValue& value, const Convert& convert)
    -> std::optional<std::vector<typename std::invoke_result_t<Convert, GgufValue>::value_type>> {
  const auto* array = std::get_if<GgufArray>(&value.value);
  const auto width = array != nullptr ? GgufKindBytes(array->element) : std::nullopt;
  if (!width) return std::nullopt;
  std::vector<typename std::invoke_result_t<Convert, GgufValue>::value_type> elements;
  elements.reserve(array->count);
  for (uint64_t i = 0; i < array->count; ++i) {
    const auto element = convert(GgufScalar(array->element, array->numbers.data() + i * *width));
    if (!element) return std::nullopt;
    elements.push_back(*element);
  }
  return elements;
}

}  // namespace

std::string GgufKindName(GgufKind kind) { return kKinds[static_cast<size_t>(kind)].name; }

std::optional<uint64_t> GgufKindBytes(GgufKind kind) {
  const uint64_t bytes = kKinds[static_cast<size_t>(kind)].bytes;
  return bytes != 0 ? std::optional(bytes) : std::nullopt;
}

GgufValue GgufScalar(GgufKind kind, const char* bytes) {
  switch (kind) {
    case GgufKind::kUint8:
      return Scalar<uint8_t, uint64_t>(kind, bytes);
    case GgufKind::kInt8:
      return Scalar<int8_t, int64_t>(kind, bytes);
    case GgufKind::kUint16:
      return Scalar<uint16_t, uint64_t>(kind, bytes);
    case GgufKind::kInt16:
      return Scalar<int16_t, int64_t>(kind, bytes);
    case GgufKind::kUint32:
      return Scalar<uint32_t, uint64_t>(kind, bytes);
    case GgufKind::kInt32:
      return Scalar<int32_t, int64_t>(kind, bytes);
    case GgufKind::kFloat32:
      return Scalar<float, double>(kind, bytes);
    case GgufKind::kBool:
      return {kind, *bytes != 0};
    case GgufKind::kUint64:
      return Scalar<uint64_t, uint64_t>(kind, bytes);
    case GgufKind::kInt64:
      return Scalar<int64_t, int64_t>(kind, bytes);
    case GgufKind::kFloat64:
      return Scalar<double, double>(kind, bytes);
    case GgufKind::kString:
    case GgufKind::kArray:
      break;
  }
  CONDENSE_CHECK(false, "{} is not of a fixed size", GgufKindName(kind));
  return {};
}

bool GgufMetadata::Add(std::string key, GgufValue value) {
  return values_.try_emplace(std::move(key), std::move(value)).second;
}

const GgufValue* GgufMetadata::Find(std::string_view key) const {
  const auto found = values_.find(key);
  return found != values_.end() ? &found->second : nullptr;
}

void GgufMetadata::ThrowOtherKind(std::string_view key, const GgufValue& value,
                                  const char* expected) const {
  std::string found = GgufKindName(value.kind);
  if (const auto* array = std::get_if<GgufArray>(&value.value)) {
    found = fmt::format("an array of {}", GgufKindName(array->element));
  }
  throw MakeError<DataError>("{}: metadata '{}' is {}, expected {}", file_->path().string(), key,
                             found, expected);
}

std::optional<int64_t> GgufMetadata::Integer(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = AsInteger(*value);
  if (!number) ThrowOtherKind(key, *value, "an integer below 2^63");
  return number;
}

std::optional<double> GgufMetadata::Number(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = AsNumber(*value);
  if (!number) ThrowOtherKind(key, *value, "a number");
  return number;
}

std::optional<bool> GgufMetadata::Bool(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  const auto* truth = std::get_if<bool>(&value->value);
  if (truth == nullptr) ThrowOtherKind(key, *value, "a bool");
  return *truth;
}

std::optional<std::string_view> GgufMetadata::String(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  const auto* text = std::get_if<std::string_view>(&value->value);
  if (text == nullptr) ThrowOtherKind(key, *value, "a string");
  return *text;
}

const std::vector<std::string_view>* GgufMetadata::Strings(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return nullptr;
  const auto* array = std::get_if<GgufArray>(&value->value);
  if (array == nullptr || array->element != GgufKind::kString) {
    ThrowOtherKind(key, *value, "an array of strings");
  }
  return &array->strings;
}

std::optional<std::vector<int64_t>> GgufMetadata::Integers(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  auto integers = Elements(*value, AsInteger);
  if (!integers) ThrowOtherKind(key, *value, "an array of integers");
  return integers;
}

std::optional<std::vector<double>> GgufMetadata::Numbers(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  auto numbers = Elements(*value, AsNumber);
  if (!numbers) ThrowOtherKind(key, *value, "an array of numbers");
  return numbers;
}

}  // namespace condense
