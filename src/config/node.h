// A parsed YAML tree that remembers where each value stood, and the list of problems found in it.
//
// Scalars keep their text: nothing is converted before a field says what it expects, so `on`, `010`
// and `1.10` mean what the reader of the field decides. Stricter than YAML where YAML surprises:
// one document a file, no duplicate keys, no tags, no merge keys (`<<`), keys are plain text, no
// tab in the indentation. Anchors and aliases work. yaml-cpp parses; it appears in no header.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace condense {

struct Location {
  std::string file;          // or what stands in for it: "--set a.b=c"
  int line = 0;              // from 1; 0 where the place has no lines
  int column = 0;            // from 1, in bytes
  std::string Text() const;  // "file:12:5", or "file" without a line
};

class Node {
 public:
  enum class Kind { kNull, kScalar, kSequence, kMap };

  Node() = default;                                                // null
  static Node ParseText(std::string_view text, std::string file);  // ConfigError
  static Node ParseFile(const std::filesystem::path& path);        // DataError if unreadable
  // Values that were not parsed. A string counts as quoted.
  static Node String(std::string text, Location where = {});
  static Node Map(Location where = {});

  Kind kind() const { return kind_; }
  bool IsNull() const { return kind_ == Kind::kNull; }
  bool IsScalar() const { return kind_ == Kind::kScalar; }
  bool IsSequence() const { return kind_ == Kind::kSequence; }
  bool IsMap() const { return kind_ == Kind::kMap; }

  const std::string& text() const { return text_; }  // of a scalar, else empty
  bool quoted() const { return quoted_; }            // '...', "...", | or >
  const std::vector<Node>& items() const { return items_; }
  const std::vector<std::pair<std::string, Node>>& entries() const { return entries_; }
  const Node* Find(std::string_view key) const;  // null unless a map that has the key

  const Location& where() const { return where_; }
  const Location& key_where() const { return key_where_; }  // of the key that holds this value
  // Where the user wrote it: "methods[1].allocator"; empty for the root. Keys that hold one of
  // . [ ] = " or a space are quoted.
  const std::string& path() const { return path_; }
  std::string ChildPath(std::string_view key) const;
  // For messages: "3.5", "the quoted text \"yes\"", "a list", "a map", "nothing".
  std::string Describe() const;

  // A map that holds this value under a key. The value keeps its location and path, so that
  // messages name what the user wrote.
  Node Wrapped(const std::string& key) const;

  // Sets the value at a dotted path ("a.b", "a.b[2]"). Missing maps on the way are made; a scalar
  // on the way becomes `{use: scalar}`, so that an option of a component given by name can be set.
  // List items must exist. ConfigError otherwise.
  void Set(std::string_view path, Node value);
  // The same from the text of a YAML value; where() of the new value says "--set path=text".
  void Set(std::string_view path, std::string_view yaml_text);

  // A map without, or with only, some keys, for readers that share a map between two structs. The
  // keys that were taken out stay known as legal, for suggestions. Of anything but a map, Without()
  // is the value itself and Only() an empty map.
  Node Without(const std::vector<std::string>& keys) const;
  Node Only(const std::vector<std::string>& keys) const;
  const std::vector<std::string>& handled_elsewhere() const { return handled_elsewhere_; }

  // Maps are merged key by key, recursively; everything else is replaced by `over`. Values keep the
  // location and path they came with.
  static Node Merged(const Node& base, const Node& over);

 private:
  friend class NodeBuilder;

  void SetPath(std::string path);           // of this value and all below it
  void SetLocation(const Location& where);  // likewise
  void BecomeMap();                         // a scalar goes under the key `use`

  Kind kind_ = Kind::kNull;
  bool quoted_ = false;
  std::string text_;
  std::vector<Node> items_;
  std::vector<std::pair<std::string, Node>> entries_;
  Location where_, key_where_;
  std::string path_;
  std::vector<std::string> handled_elsewhere_;
};

// One line of JSON: keys sorted; plain scalars that are numbers, true or false as such.
std::string CanonicalText(const Node& node);

// Collects all problems of one file, so that the user mends them in one go.
class Problems {
 public:
  void Add(const Node& at, std::string message);
  void Add(const Location& where, const std::string& path, std::string message);
  size_t count() const { return problems_.size(); }
  bool empty() const { return problems_.empty(); }
  // ConfigError with one line each, in the order of the file: "file:line:column: path: message".
  void ThrowIfAny() const;

 private:
  struct Problem {
    Location where;
    std::string text;
  };
  std::vector<Problem> problems_;
};

// Applies "a.b=c" in order; ConfigError naming every assignment that is wrong.
void ApplyOverrides(Node& root, const std::vector<std::string>& assignments);

}  // namespace condense
