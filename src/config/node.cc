#include "config/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

std::string QuotedKey(std::string_view key) {
  if (!key.empty() && key.find_first_of(".[]=\" ") == std::string_view::npos) {
    return std::string(key);
  }
  std::string quoted = "\"";
  for (const char c : key) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

// At most `limit` code points on one line.
std::string Shortened(std::string_view text, size_t limit) {
  std::string out;
  size_t position = 0;
  for (size_t count = 0; position < text.size(); ++count) {
    if (count == limit) return out + "...";
    const char32_t c = NextCodePoint(text, position);
    AppendUtf8(c == U'\n' ? U' ' : c, out);
  }
  return out;
}

}  // namespace

std::string Location::Text() const {
  return line == 0 ? file : fmt::format("{}:{}:{}", file, line, column);
}

Node Node::String(std::string text, Location where) {
  Node node;
  node.kind_ = Kind::kScalar;
  node.quoted_ = true;
  node.text_ = std::move(text);
  node.where_ = std::move(where);
  return node;
}

Node Node::Map(Location where) {
  Node node;
  node.kind_ = Kind::kMap;
  node.where_ = std::move(where);
  return node;
}

const Node* Node::Find(std::string_view key) const {
  for (const auto& [name, value] : entries_) {
    if (name == key) return &value;
  }
  return nullptr;
}

std::string Node::ChildPath(std::string_view key) const {
  return path_.empty() ? QuotedKey(key) : path_ + "." + QuotedKey(key);
}

std::string Node::Describe() const {
  switch (kind_) {
    case Kind::kNull:
      return "nothing";
    case Kind::kSequence:
      return "a list";
    case Kind::kMap:
      return "a map";
    case Kind::kScalar:
      break;
  }
  const std::string shown = Shortened(text_, 60);
  return quoted_ ? fmt::format("the quoted text \"{}\"", shown) : fmt::format("'{}'", shown);
}

Node Node::Without(const std::vector<std::string>& keys) const {
  Node result = *this;
  if (!IsMap()) return result;
  std::erase_if(result.entries_, [&](const auto& entry) { return Contains(keys, entry.first); });
  result.handled_elsewhere_.insert(result.handled_elsewhere_.end(), keys.begin(), keys.end());
  return result;
}

Node Node::Only(const std::vector<std::string>& keys) const {
  Node result = Map(where_);
  result.key_where_ = key_where_;
  result.path_ = path_;
  result.handled_elsewhere_ = handled_elsewhere_;
  for (const auto& entry : entries_) {
    if (Contains(keys, entry.first)) {
      result.entries_.push_back(entry);
    } else {
      result.handled_elsewhere_.push_back(entry.first);
    }
  }
  return result;
}

Node Node::Merged(const Node& base, const Node& over) {
  if (!base.IsMap() || !over.IsMap()) return over;
  Node result = base;
  for (const auto& [key, value] : over.entries_) {
    const auto same = [&](const auto& entry) { return entry.first == key; };
    const auto found = std::find_if(result.entries_.begin(), result.entries_.end(), same);
    if (found == result.entries_.end()) {
      result.entries_.emplace_back(key, value);
    } else {
      found->second = Merged(found->second, value);
    }
  }
  return result;
}

Node Node::Wrapped(const std::string& key) const {
  Node map = Map(where_);
  map.key_where_ = key_where_;
  map.path_ = path_;
  map.entries_.emplace_back(key, *this);
  return map;
}

void Node::SetPath(std::string path) {
  path_ = std::move(path);
  for (size_t i = 0; i < items_.size(); ++i) items_[i].SetPath(fmt::format("{}[{}]", path_, i));
  for (auto& [key, value] : entries_) value.SetPath(ChildPath(key));
}

void Node::SetLocation(const Location& where) {
  where_ = key_where_ = where;
  for (Node& item : items_) item.SetLocation(where);
  for (auto& [key, value] : entries_) value.SetLocation(where);
}

void Problems::Add(const Node& at, std::string message) {
  Add(at.where(), at.path(), std::move(message));
}

void Problems::Add(const Location& where, const std::string& path, std::string message) {
  std::string text = where.Text();
  if (!text.empty()) text += ": ";
  if (!path.empty()) text += path + ": ";
  problems_.push_back({where, text + message});
}

void Problems::ThrowIfAny() const {
  if (problems_.empty()) return;
  std::vector<Problem> sorted = problems_;
  const auto place = [](const Problem& p) {
    return std::tie(p.where.file, p.where.line, p.where.column);
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const Problem& a, const Problem& b) { return place(a) < place(b); });
  std::vector<std::string> lines;
  for (Problem& problem : sorted) lines.push_back(std::move(problem.text));
  throw ConfigError(Join(lines, "\n"));
}

}  // namespace condense
