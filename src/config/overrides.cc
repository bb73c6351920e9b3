// Node::Set and the assignments of --set. A path is KEY(.KEY|[INDEX])*, a key with special
// characters in double quotes.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "config/node.h"

namespace condense {
namespace {

struct Step {
  std::string key;
  std::optional<size_t> index;  // of a list item, instead of a key
};

[[noreturn]] void BadPath(std::string_view path, std::string_view reason) {
  throw MakeError<ConfigError>("'{}' is not a path like a.b or a.b[2]: {}", path, reason);
}

std::string TakeQuotedKey(std::string_view path, size_t& position) {
  std::string key;
  for (++position; position < path.size() && path[position] != '"'; ++position) {
    if (path[position] == '\\' && position + 1 < path.size()) ++position;
    key += path[position];
  }
  if (position == path.size()) BadPath(path, "the quote is not closed");
  ++position;
  return key;
}

std::string TakeKey(std::string_view path, size_t& position) {
  if (position < path.size() && path[position] == '"') return TakeQuotedKey(path, position);
  const size_t end = std::min(path.find_first_of(".[]\"", position), path.size());
  if (end == position) BadPath(path, "a key is missing");
  std::string key(path.substr(position, end - position));
  position = end;
  return key;
}

size_t TakeIndex(std::string_view path, size_t& position) {
  const size_t end = path.find(']', position);
  if (end == std::string_view::npos) BadPath(path, "']' is missing");
  const std::string_view digits = path.substr(position + 1, end - position - 1);
  size_t index = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc() || stop != digits.data() + digits.size()) {
    BadPath(path, "expected the number of an item, from 0, between [ and ]");
  }
  position = end + 1;
  return index;
}

std::vector<Step> ParsePath(std::string_view path) {
  size_t position = 0;
  std::vector<Step> steps{{TakeKey(path, position), std::nullopt}};
  while (position < path.size()) {
    if (path[position] == '[') {
      steps.push_back({"", TakeIndex(path, position)});
    } else if (path[position] == '.') {
      steps.push_back({TakeKey(path, ++position), std::nullopt});
    } else {
      BadPath(path, "'.' or '[' is missing");
    }
  }
  return steps;
}

// Where the value starts: behind the first '=' outside quotes.
size_t EqualsAt(std::string_view assignment) {
  bool quoted = false;
  for (size_t i = 0; i < assignment.size(); ++i) {
    if (assignment[i] == '"') quoted = !quoted;
    if (assignment[i] == '\\' && quoted) ++i;
    if (assignment[i] == '=' && !quoted) return i;
  }
  throw MakeError<ConfigError>("--set {}: expected KEY=VALUE", assignment);
}

}  // namespace

void Node::Set(std::string_view path, Node value) {
  const auto enter = [&](Node& node, const Step& step) -> Node& {
    const std::string here = node.path_.empty() ? "the file" : "'" + node.path_ + "'";
    if (step.index) {
      if (!node.IsSequence()) {
        throw MakeError<ConfigError>("cannot set '{}': {} is {}, not a list", path, here,
                                     node.Describe());
      }
      if (*step.index >= node.items_.size()) {
        throw MakeError<ConfigError>("cannot set '{}': {} has {} items, counted from 0", path, here,
                                     node.items_.size());
      }
      return node.items_[*step.index];
    }
    if (node.IsSequence()) {
      throw MakeError<ConfigError>("cannot set '{}': {} is a list; name an item, such as [0]", path,
                                   here);
    }
    if (!node.IsMap()) node.BecomeMap();
    for (auto& [key, child] : node.entries_) {
      if (key == step.key) return child;
    }
    Node child;
    child.where_ = child.key_where_ = value.where_;
    child.path_ = node.ChildPath(step.key);
    return node.entries_.emplace_back(step.key, std::move(child)).second;
  };
  // The tree is left as it was if a later step fails.
  Node changed = *this;
  Node* target = &changed;
  for (const Step& step : ParsePath(path)) target = &enter(*target, step);
  value.key_where_ = value.where_;
  value.SetPath(target->path_);
  *target = std::move(value);
  *this = std::move(changed);
}

void Node::BecomeMap() {
  Node scalar = *this;
  *this = Map(where_);
  key_where_ = scalar.key_where_;
  path_ = scalar.path_;
  if (!scalar.IsScalar()) return;
  scalar.path_ = ChildPath("use");
  entries_.emplace_back("use", std::move(scalar));
}

void Node::Set(std::string_view path, std::string_view yaml_text) {
  const std::string source = fmt::format("--set {}={}", path, yaml_text);
  try {
    Node value = ParseText(yaml_text, "the value");
    value.SetLocation({source});
    Set(path, std::move(value));
  } catch (const ConfigError& error) {
    throw MakeError<ConfigError>("{}: {}", source, error.what());
  }
}

void ApplyOverrides(Node& root, const std::vector<std::string>& assignments) {
  std::string problems;
  for (const std::string_view assignment : assignments) {
    try {
      const size_t equals = EqualsAt(assignment);
      root.Set(assignment.substr(0, equals), assignment.substr(equals + 1));
    } catch (const ConfigError& error) {
      problems += (problems.empty() ? "" : "\n") + std::string(error.what());
    }
  }
  if (!problems.empty()) throw ConfigError(problems);
}

}  // namespace condense
