// From YAML text to Node: the events of yaml-cpp, with what config/node.h promises to refuse.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/strings.h"
#include "config/node.h"

namespace condense {

// Builds one document. Marks count from 0, locations from 1.
class NodeBuilder final : public YAML::EventHandler {
 public:
  explicit NodeBuilder(const std::string& file) : file_(file) {}

  const Location& start() const { return start_; }
  Node Take() {
    root_.SetPath("");
    return std::move(root_);
  }

  void OnDocumentStart(const YAML::Mark& mark) override { start_ = At(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (AtKey()) Fail(mark, "a key is missing before ':'");
    Place(mark, anchor, Node());
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    RefuseTag(mark, tag);
    if (AtKey()) return SetKey(mark, text);
    Node node;
    node.kind_ = Node::Kind::kScalar;
    node.text_ = text;
    node.quoted_ = tag == "!";
    Place(mark, anchor, std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (AtKey()) Fail(mark, "an alias cannot be a key");
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) Fail(mark, "an alias inside the value that it names");
    CountValues(mark, known->second.size);
    Node node = known->second.node;
    node.key_where_ = open_.empty() ? Location{} : open_.back().key_where;
    Attach(std::move(node), known->second.size);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, Node::Kind::kSequence);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, Node::Kind::kMap);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

 private:
  // Guards against aliases of aliases that expand without bound.
  static constexpr size_t kMostValues = 1'000'000;

  struct OpenNode {
    Node node;
    YAML::anchor_t anchor;
    size_t size = 1;  // values in it, itself included
    bool has_key = false;
    std::string key;
    Location key_where;
  };
  struct Anchored {
    Node node;
    size_t size;
  };

  Location At(const YAML::Mark& mark) const { return {file_, mark.line + 1, mark.column + 1}; }
  [[noreturn]] void Fail(const YAML::Mark& mark, const std::string& message) const {
    throw MakeError<ConfigError>("{}: {}", At(mark).Text(), message);
  }

  bool AtKey() const {
    return !open_.empty() && open_.back().node.IsMap() && !open_.back().has_key;
  }

  void RefuseTag(const YAML::Mark& mark, const std::string& tag) const {
    if (tag.empty() || tag == "?" || tag == "!") return;
    constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    const bool standard = tag.starts_with(kStandard);
    Fail(mark, fmt::format("the tag '{}{}' is not supported; remove it", standard ? "!!" : "",
                           standard ? tag.substr(kStandard.size()) : tag));
  }

  void SetKey(const YAML::Mark& mark, const std::string& key) {
    OpenNode& map = open_.back();
    if (key == "<<") {
      Fail(mark, "merge keys ('<<') are not supported; write the keys out or use an alias");
    }
    if (const Node* first = map.node.Find(key)) {
      Fail(mark, fmt::format("the key '{}' is given twice; first at line {}", key,
                             first->key_where().line));
    }
    map.has_key = true;
    map.key = key;
    map.key_where = At(mark);
  }

  void CountValues(const YAML::Mark& mark, size_t added) {
    values_ += added;
    if (values_ > kMostValues) {
      Fail(mark, fmt::format("more than {} values after expanding aliases", kMostValues));
    }
  }

  void Place(const YAML::Mark& mark, YAML::anchor_t anchor, Node node) {
    CountValues(mark, 1);
    Locate(mark, node);
    if (anchor != 0) anchors_.insert_or_assign(anchor, Anchored{node, 1});
    Attach(std::move(node), 1);
  }

  void Locate(const YAML::Mark& mark, Node& node) const {
    node.where_ = At(mark);
    if (!open_.empty()) node.key_where_ = open_.back().key_where;
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            Node::Kind kind) {
    RefuseTag(mark, tag);
    if (AtKey()) Fail(mark, "a list or map cannot be a key (or it is not closed)");
    CountValues(mark, 1);
    Node node;
    node.kind_ = kind;
    Locate(mark, node);
    open_.push_back({std::move(node), anchor});
  }

  void Close() {
    OpenNode done = std::move(open_.back());
    open_.pop_back();
    if (done.anchor != 0) anchors_.insert_or_assign(done.anchor, Anchored{done.node, done.size});
    Attach(std::move(done.node), done.size);
  }

  void Attach(Node node, size_t size) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    OpenNode& parent = open_.back();
    parent.size += size;
    if (parent.node.IsSequence()) {
      parent.node.items_.push_back(std::move(node));
    } else {
      parent.node.entries_.emplace_back(std::move(parent.key), std::move(node));
      parent.has_key = false;
    }
  }

  const std::string& file_;
  Location start_;
  Node root_;
  std::vector<OpenNode> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  size_t values_ = 0;
};

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Without a byte order mark, lines ended by \n.
std::string Normalised(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      out += '\n';
    }
  }
  return out;
}

// yaml-cpp replaces invalid UTF-8, ends the text at U+0004 and reads some tabs as indentation.
void RequireCleanText(const std::string& text, const std::string& file) {
  if (const auto bad = InvalidUtf8At(text)) {
    const auto line = std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(*bad), '\n');
    throw MakeError<ConfigError>("{}:{}: not valid UTF-8; save the file as UTF-8", file, line + 1);
  }
  int number = 0;
  for (const std::string& line : Split(text, '\n')) {
    ++number;
    for (const char c : line) {
      const auto byte = static_cast<unsigned char>(c);
      if ((byte < 0x20 && c != '\t') || byte == 0x7F) {
        throw MakeError<ConfigError>("{}:{}: the control character 0x{:02x} is not text", file,
                                     number, byte);
      }
    }
    const size_t content = line.find_first_not_of(" \t");
    if (content != std::string::npos && line.find('\t') < content) {
      throw MakeError<ConfigError>("{}:{}: a tab in the indentation; YAML needs spaces", file,
                                   number);
    }
  }
}

// yaml-cpp's messages name its own states; these name what the user most likely did.
std::string Explained(const std::string& message) {
  static const std::map<std::string, std::string> kExplained{
      {"illegal map value", "unexpected ':'; check the indentation, or quote text with ': '"},
      {"end of map not found", "expected KEY: VALUE; check the indentation, or quote the text"},
      {"end of sequence not found", "expected a list item ('- '); check the indentation"},
      {"end of sequence flow not found", "the list is not closed with ']'"},
      {"end of map flow not found", "the map is not closed with '}'"},
      {"illegal flow end", "a closing bracket without an opening one"},
      {"illegal EOF in scalar", "a quote is not closed"},
      {"illegal block entry", "unexpected '-'; no list item can stand here"},
      {"unknown token", "text cannot start with this character; quote it"},
  };
  const auto known = kExplained.find(message);
  return known == kExplained.end() ? message : known->second;
}

}  // namespace

Node Node::ParseText(std::string_view text, std::string file) {
  const std::string clean = Normalised(text);
  RequireCleanText(clean, file);
  std::istringstream stream(clean);
  try {
    YAML::Parser parser(stream);
    NodeBuilder builder(file), second(file);
    parser.HandleNextDocument(builder);
    if (parser.HandleNextDocument(second)) {
      throw MakeError<ConfigError>(
          "{}: text after the end of the YAML document; check the indentation, and remove a second "
          "document ('---')",
          second.start().Text());
    }
    Node root = builder.Take();
    if (root.IsNull()) root.where_ = {std::move(file), 1, 1};
    return root;
  } catch (const YAML::Exception& error) {
    Location where{std::move(file)};
    if (!error.mark.is_null())
      where.line = error.mark.line + 1, where.column = error.mark.column + 1;
    throw MakeError<ConfigError>("{}: not YAML: {}", where.Text(), Explained(error.msg));
  }
}

Node Node::ParseFile(const std::filesystem::path& path) {
  return ParseText(ReadFile(path), path.string());
}

}  // namespace condense
