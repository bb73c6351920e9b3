// How one member of an options struct is read, written canonically and described, by its type.
//
// FieldType<T> is the trait: Read, Canonical, TypeName and, where choices exist, Allowed;
// specialise it for a type with its own syntax. Enums take EnumNames<E> instead, structs a `Fields`
// member (fields.h), components registry.h.
#pragma once

#include <fmt/format.h>

#include <array>
#include <concepts>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "config/node.h"
#include "config/scalars.h"

namespace condense {

// One line of `runner describe`.
struct FieldHelp {
  std::string name;  // dotted: "epsilon.max"; "[]" for list items, ".*" for map values
  std::string type;
  std::string default_value;  // as canonical text; empty if the field is required
  std::string allowed;        // a range or choices; may be empty
  std::string help;
  bool required = false;
};

template <class T>
struct FieldType;

// template <> struct EnumNames<Match> {
//   static constexpr std::array names{std::pair{Match::kBlock, "block"}, ...};
// };
template <class E>
struct EnumNames;

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires {
  EnumNames<E>::names;
};

template <NamedEnum E>
std::string EnumName(E value) {
  for (const auto& [known, name] : EnumNames<E>::names) {
    if (known == value) return name;
  }
  return std::to_string(static_cast<int64_t>(value));
}

template <NamedEnum E>
std::vector<std::string> EnumChoices() {
  std::vector<std::string> choices;
  for (const auto& named : EnumNames<E>::names) choices.emplace_back(named.second);
  return choices;
}

template <>
struct FieldType<bool> {
  static void Read(const Node& node, bool& value, Problems& problems) {
    if (const auto read = ReadBool(node, problems)) value = *read;
  }
  static std::string Canonical(bool value) { return value ? "true" : "false"; }
  static std::string TypeName() { return "true or false"; }
};

template <std::integral T>
requires(!std::same_as<T, bool>) struct FieldType<T> {
  static void Read(const Node& node, T& value, Problems& problems) {
    if constexpr (std::is_signed_v<T>) {
      const auto read =
          ReadSigned(node, std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), problems);
      if (read) value = static_cast<T>(*read);
    } else {
      const auto read = ReadUnsigned(node, std::numeric_limits<T>::max(), problems);
      if (read) value = static_cast<T>(*read);
    }
  }
  static std::string Canonical(T value) { return std::to_string(value); }
  static std::string TypeName() { return "integer"; }
};

template <>
struct FieldType<double> {
  static void Read(const Node& node, double& value, Problems& problems) {
    if (const auto read = ReadDouble(node, problems)) value = *read;
  }
  static std::string Canonical(double value) { return JsonNumber(value); }
  static std::string TypeName() { return "number"; }
};

template <>
struct FieldType<std::string> {
  static void Read(const Node& node, std::string& value, Problems& problems) {
    if (auto read = ReadString(node, problems)) value = std::move(*read);
  }
  static std::string Canonical(const std::string& value) { return JsonString(value); }
  static std::string TypeName() { return "text"; }
};

template <NamedEnum E>
struct FieldType<E> {
  static void Read(const Node& node, E& value, Problems& problems) {
    for (const auto& [known, name] : EnumNames<E>::names) {
      if (node.IsScalar() && node.text() == name) {
        value = known;
        return;
      }
    }
    AddUnknownChoice(node, EnumChoices<E>(), problems);
  }
  static std::string Canonical(E value) { return JsonString(EnumName(value)); }
  static std::string TypeName() { return "name"; }
  static std::string Allowed() { return Join(EnumChoices<E>(), " | "); }
};

// A tree that somebody else reads later.
template <>
struct FieldType<Node> {
  static void Read(const Node& node, Node& value, Problems&) { value = node; }
  static std::string Canonical(const Node& value) { return CanonicalText(value); }
  static std::string TypeName() { return "any value"; }
};

template <class T>
concept HasAllowed = requires {
  FieldType<T>::Allowed();
};

// null, or a value. A value that is given in part keeps the defaults of the rest.
template <class T>
struct FieldType<std::optional<T>> {
  static void Read(const Node& node, std::optional<T>& value, Problems& problems) {
    if (node.IsNull()) {
      value.reset();
      return;
    }
    const size_t before = problems.count();
    T read = value ? *value : T{};
    FieldType<T>::Read(node, read, problems);
    if (problems.count() == before) value = std::move(read);
  }
  static std::string Canonical(const std::optional<T>& value) {
    return value ? FieldType<T>::Canonical(*value) : "null";
  }
  static std::string TypeName() { return FieldType<T>::TypeName() + " or null"; }
  static std::string Allowed() requires HasAllowed<T> { return FieldType<T>::Allowed(); }
};

// A list replaces the default as a whole.
template <class T>
struct FieldType<std::vector<T>> {
  static void Read(const Node& node, std::vector<T>& value, Problems& problems) {
    if (!node.IsSequence()) return AddExpected(node, TypeName(), problems);
    const size_t before = problems.count();
    std::vector<T> read;
    for (const Node& item : node.items()) {
      T element{};
      FieldType<T>::Read(item, element, problems);
      read.push_back(std::move(element));
    }
    if (problems.count() == before) value = std::move(read);
  }
  static std::string Canonical(const std::vector<T>& value) {
    std::string out = "[";
    for (const T& element : value) {
      if (out.size() > 1) out += ',';
      out += FieldType<T>::Canonical(element);
    }
    return out + "]";
  }
  static std::string TypeName() { return fmt::format("list of {}", FieldType<T>::TypeName()); }
  static std::string Allowed() requires HasAllowed<T> { return FieldType<T>::Allowed(); }
};

// A map replaces the default as a whole.
template <class T>
struct FieldType<std::map<std::string, T>> {
  static void Read(const Node& node, std::map<std::string, T>& value, Problems& problems) {
    if (!node.IsMap()) return AddExpected(node, TypeName(), problems);
    const size_t before = problems.count();
    std::map<std::string, T> read;
    for (const auto& [key, item] : node.entries()) FieldType<T>::Read(item, read[key], problems);
    if (problems.count() == before) value = std::move(read);
  }
  static std::string Canonical(const std::map<std::string, T>& value) {
    std::string out = "{";
    for (const auto& [key, element] : value) {
      if (out.size() > 1) out += ',';
      out += JsonString(key) + ":" + FieldType<T>::Canonical(element);
    }
    return out + "}";
  }
  static std::string TypeName() {
    return fmt::format("map of names to {}", FieldType<T>::TypeName());
  }
  static std::string Allowed() requires HasAllowed<T> { return FieldType<T>::Allowed(); }
};

}  // namespace condense
