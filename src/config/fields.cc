#include "config/fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace condense {

bool Range::Contains(double value) const {
  const bool above = open_below ? value > low : value >= low;
  const bool below = open_above ? value < high : value <= high;
  return above && below;
}

std::string Range::Text() const {
  const std::string least = JsonNumber(std::max(low, std::numeric_limits<double>::lowest()));
  const std::string most = JsonNumber(std::min(high, std::numeric_limits<double>::max()));
  if (low == -kInfinity) return (open_above ? "below " : "at most ") + most;
  if (high == kInfinity) return (open_below ? "above " : "at least ") + least;
  return fmt::format("in {}{}, {}{}", open_below ? '(' : '[', least, most, open_above ? ')' : ']');
}

namespace internal {

void CheckNumber(const Node& node, double value, const Range& range, Problems& problems) {
  if (range.Contains(value)) return;
  problems.Add(node, fmt::format("must be {}, found {}", range.Text(), node.text()));
}

bool RequireMap(const Node& node, Problems& problems) {
  if (node.IsMap()) return true;
  std::string found = node.Describe();
  if (node.IsNull() && node.path().empty()) found = "an empty file";
  problems.Add(node, fmt::format("expected a map of options (KEY: VALUE), found {}", found));
  return false;
}

const Node* FieldReader::Claim(const char* name, const char* help, bool required) {
  CONDENSE_CHECK(std::find(names_.begin(), names_.end(), name) == names_.end(),
                 "the field '{}' is listed twice", name);
  names_.emplace_back(name);
  const Node* found = node_.Find(name);
  if (found == nullptr && required) {
    problems_.Add(node_, fmt::format("missing key '{}': {}", name, help));
  }
  return found;
}

void FieldReader::RefuseUnknownKeys() {
  std::vector<std::string> legal = names_;
  legal.insert(legal.end(), node_.handled_elsewhere().begin(), node_.handled_elsewhere().end());
  for (const auto& [key, value] : node_.entries()) {
    if (std::find(names_.begin(), names_.end(), key) != names_.end()) continue;
    const std::string hint = legal.empty() ? "; no options exist here" : SuggestName(key, legal);
    problems_.Add(value.key_where(), node_.path(), fmt::format("unknown key '{}'{}", key, hint));
  }
}

}  // namespace internal
}  // namespace condense
