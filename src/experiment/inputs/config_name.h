// Fields that hold the name of a file in configs/, checked while they are read.
#pragma once

#include <fmt/format.h>

#include <set>
#include <string>
#include <vector>

#include "config/fields.h"

namespace condense {

// The name of a file in configs/<Kind::kFolder>.
template <class Kind>
struct ConfigName {
  std::string name;
  Location where;
};
struct CalibrationKind {
  static constexpr const char *kFolder = "calibration", *kWhat = "calibration set";
};
struct ProtocolKind {
  static constexpr const char *kFolder = "protocols", *kWhat = "perplexity protocol";
};
struct TaskNameKind {
  static constexpr const char *kFolder = "tasks", *kWhat = "task";
};
// Adds a problem unless the file exists.
void RequireConfigName(const Node& node, const char* folder, const char* what, Problems& problems);
// Adds a problem for each value of the list under `key` that equals an earlier one. `values` were
// read from it; `key_of` gives what has to differ.
template <class T, class KeyOf>
void RefuseRepeated(const Node& at, const char* key, const std::vector<T>& values, KeyOf key_of,
                    Problems& problems) {
  const Node* list = at.Find(key);
  if (list == nullptr || list->items().size() != values.size()) return;
  std::set<std::string> seen;
  for (size_t i = 0; i < values.size(); ++i) {
    if (seen.insert(key_of(values[i])).second) continue;
    problems.Add(list->items()[i], fmt::format("{} is listed twice", list->items()[i].Describe()));
  }
}
template <class Kind>
void RefuseRepeated(const Node& at, const char* key, const std::vector<ConfigName<Kind>>& values,
                    Problems& problems) {
  RefuseRepeated(
      at, key, values, [](const auto& value) { return value.name; }, problems);
}

template <class Kind>
struct FieldType<ConfigName<Kind>> {
  static void Read(const Node& node, ConfigName<Kind>& value, Problems& problems) {
    RequireConfigName(node, Kind::kFolder, Kind::kWhat, problems);
    value = {node.text(), node.where()};
  }
  static std::string Canonical(const ConfigName<Kind>& value) { return JsonString(value.name); }
  static std::string TypeName() { return Kind::kWhat; }
};

}  // namespace condense
