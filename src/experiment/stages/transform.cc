#include "experiment/stages/transform.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "config/scalars.h"
#include "experiment/inputs/config_name.h"

namespace condense {
namespace {

using Entry = Registry<Transform>::Entry;

// "rank 8, steps 400"
std::string SettingText(const Node& options) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : options.entries()) {
    parts.push_back(
        fmt::format("{} {}", key, value.IsScalar() ? value.text() : CanonicalText(value)));
  }
  return parts.empty() ? "yes" : Join(parts, ", ");
}

std::optional<TransformValue> ReadValue(const Entry& entry, const Node& node, Problems& problems) {
  if (node.IsScalar() && node.text() == kAxisOff) return TransformValue{kAxisOff, {}};
  const std::vector<FieldHelp> fields = entry.describe();
  if (!node.IsMap() && (fields.empty() || !node.IsScalar())) {
    AddExpected(node, "none or a map of options", problems);
    return std::nullopt;
  }
  const Node given = node.IsMap() ? node.Without({"label"}) : node.Wrapped(fields.front().name);
  TransformValue value;
  value.text = node.IsMap() ? SettingText(given) : node.text();
  if (const Node* label = node.Find("label")) {
    value.text = label->text();
    if (value.text.empty()) AddExpected(*label, "text", problems);
  }
  std::string options;
  std::shared_ptr<const Transform> made = entry.make(given, problems, &options);
  if (made == nullptr) return std::nullopt;
  std::string canonical = fmt::format(R"({{"use":{},"version":{},"options":{}}})",
                                      JsonString(entry.name), entry.version, options);
  value.transform = {entry.name, entry.version, std::move(canonical), made, node.where()};
  return value;
}

}  // namespace

std::vector<std::string> TransformKeys() { return Registry<Transform>::Instance().Names(); }

std::vector<TransformAxis> ReadTransforms(const Node& root, Problems& problems) {
  std::vector<TransformAxis> axes;
  for (const auto& [key, node] : root.entries()) {
    const Entry* entry = Registry<Transform>::Instance().Find(key);
    if (entry == nullptr) continue;
    TransformAxis axis{key, {}};
    for (const Node& item : node.IsSequence() ? node.items() : std::vector<Node>{node}) {
      if (auto value = ReadValue(*entry, item, problems)) axis.values.push_back(*std::move(value));
    }
    if (node.IsSequence() && node.items().empty()) AddExpected(node, "at least one", problems);
    RefuseRepeated(
        root, key.c_str(), axis.values, [](const TransformValue& value) { return value.text; },
        problems);
    axes.push_back(std::move(axis));
  }
  return axes;
}

}  // namespace condense
