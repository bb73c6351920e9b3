// One list of fields a struct: reading, canonical text and help come from it.
//
//   struct Params {
//     double ratio = 0.2;
//     std::optional<int> rank;
//     template <class V> void Fields(V&& field) {
//       field("ratio", ratio, "share of the weights to remove", Range{0, 1}.OpenAbove());
//       field("rank", rank, "fixed rank instead", Range::AtLeast(1));
//     }
//     void Validate(const Node& at, Problems& problems) const;  // optional; rules between fields
//   };
//   const Params params = ReadStruct<Params>(Node::ParseFile(path));
//
// Member types: bool, integers, double, std::string, Node, enums with EnumNames, structs
// with Fields, std::vector, std::optional and std::map<std::string, .> of these,
// Component<Interface> (registry.h), and whatever specialises FieldType (field_types.h). Keys that
// the list does not name are refused; a key that is absent leaves the default. All problems are
// reported at once.
#pragma once

#include "config/field_types.h"

namespace condense {

// Markers after the help text of a field.
struct Required {};  // the key must be given
struct NonEmpty {};  // text, lists and maps only

// Bounds of a number, or of each number in a list, map or optional. Closed unless opened.
struct Range {
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();

  double low = -kInfinity, high = kInfinity;
  bool open_below = false, open_above = false;

  constexpr Range(double least, double most) : low(least), high(most) {}
  static constexpr Range AtLeast(double least) { return {least, kInfinity}; }
  static constexpr Range AtMost(double most) { return {-kInfinity, most}; }
  static constexpr Range Above(double bound) { return AtLeast(bound).OpenBelow(); }
  static constexpr Range Below(double bound) { return AtMost(bound).OpenAbove(); }
  constexpr Range OpenBelow() const {
    Range r = *this;
    r.open_below = true;
    return r;
  }
  constexpr Range OpenAbove() const {
    Range r = *this;
    r.open_above = true;
    return r;
  }
  constexpr Range Open() const { return OpenBelow().OpenAbove(); }

  bool Contains(double value) const;
  std::string Text() const;  // "in [0, 1)", "at least 1", "above 0"
};

namespace internal {

struct FieldProbe {
  template <class M, class... Extras>
  void operator()(const char*, M&, const char*, const Extras&...) {}
};

}  // namespace internal

template <class T>
concept HasFields = requires(T& value, internal::FieldProbe probe) {
  value.Fields(probe);
};

template <HasFields T>
void ReadFields(const Node& node, T& value, Problems& problems);
template <HasFields T>
std::string CanonicalText(const T& value);

template <HasFields T>
struct FieldType<T> {
  static void Read(const Node& node, T& value, Problems& problems) {
    ReadFields(node, value, problems);
  }
  static std::string Canonical(const T& value) { return CanonicalText(value); }
  static std::string TypeName() { return "map of options"; }
};

namespace internal {

// The markers of one field.
struct Constraints {
  bool required = false, non_empty = false;
  std::optional<Range> range;

  template <class... Extras>
  explicit Constraints(const Extras&... extras) {
    (Take(extras), ...);
  }

 private:
  void Take(Required) { required = true; }
  void Take(NonEmpty) { non_empty = true; }
  void Take(const Range& bounds) { range = bounds; }
};

void CheckNumber(const Node& node, double value, const Range& range, Problems& problems);

template <class T>
void CheckRange(const Node&, const std::optional<T>&, const Range&, Problems&);
template <class T>
void CheckRange(const Node&, const std::vector<T>&, const Range&, Problems&);
template <class T>
void CheckRange(const Node&, const std::map<std::string, T>&, const Range&, Problems&);

template <class T>
void CheckRange(const Node& node, const T& value, const Range& range, Problems& problems) {
  static_assert(std::is_arithmetic_v<T>,
                "Range is for numbers and for lists, maps, optionals of them");
  CheckNumber(node, static_cast<double>(value), range, problems);
}
template <class T>
void CheckRange(const Node& node, const std::optional<T>& value, const Range& range,
                Problems& problems) {
  if (value) CheckRange(node, *value, range, problems);
}
template <class T>
void CheckRange(const Node& node, const std::vector<T>& value, const Range& range,
                Problems& problems) {
  for (size_t i = 0; i < value.size(); ++i) CheckRange(node.items()[i], value[i], range, problems);
}
template <class T>
void CheckRange(const Node& node, const std::map<std::string, T>& value, const Range& range,
                Problems& problems) {
  for (const auto& [key, element] : value) {
    CheckRange(*node.Find(key), element, range, problems);
  }
}

// Reads the keys of one map; what no field asked for is a problem at the end.
class FieldReader {
 public:
  FieldReader(const Node& node, Problems& problems) : node_(node), problems_(problems) {}

  template <class M, class... Extras>
  void operator()(const char* name, M& member, const char* help, const Extras&... extras) {
    const Constraints constraints(extras...);
    const Node* found = Claim(name, help, constraints.required);
    if (found == nullptr) return;
    const size_t before = problems_.count();
    FieldType<M>::Read(*found, member, problems_);
    if (problems_.count() != before) return;
    if constexpr ((std::same_as<Extras, Range> || ...)) {
      CheckRange(*found, member, *constraints.range, problems_);
    }
    if constexpr ((std::same_as<Extras, NonEmpty> || ...)) {
      if (member.empty()) problems_.Add(*found, "must not be empty");
    }
  }
  void RefuseUnknownKeys();

 private:
  const Node* Claim(const char* name, const char* help, bool required);

  const Node& node_;
  Problems& problems_;
  std::vector<std::string> names_;
};

class FieldWriter {
 public:
  template <class M, class... Extras>
  void operator()(const char* name, M& member, const char*, const Extras&...) {
    if (out_.size() > 1) out_ += ',';
    out_ += JsonString(name) + ":" + FieldType<M>::Canonical(member);
  }
  std::string Text() const { return out_ + "}"; }

 private:
  std::string out_ = "{";
};

// False, with a problem, unless the node is a map.
bool RequireMap(const Node& node, Problems& problems);

class FieldDescriber {
 public:
  FieldDescriber(std::string prefix, std::vector<FieldHelp>& out)
      : prefix_(std::move(prefix)), out_(out) {}

  template <class M, class... Extras>
  void operator()(const char* name, M& member, const char* help, const Extras&... extras) {
    const Constraints constraints(extras...);
    const std::string full_name = prefix_ + name;
    if constexpr (!HasFields<M>) {
      FieldHelp line{full_name, FieldType<M>::TypeName(), "", Allowed<M>(),
                     help,      constraints.required};
      if (!constraints.required) line.default_value = DefaultText(member);
      if (constraints.range) line.allowed = constraints.range->Text();
      if (constraints.non_empty) line.allowed += line.allowed.empty() ? "not empty" : ", not empty";
      out_.push_back(std::move(line));
    }
    Nested(full_name, member);
  }

 private:
  template <class M>
  static std::string Allowed() {
    if constexpr (HasAllowed<M>) return FieldType<M>::Allowed();
    return "";
  }
  template <class M>
  static std::string DefaultText(const M& member) {
    if constexpr (requires { FieldType<M>::DefaultText(member); }) {
      return FieldType<M>::DefaultText(member);
    } else {
      return FieldType<M>::Canonical(member);
    }
  }

  template <class M>
  void Nested(const std::string& name, M& member) {
    if constexpr (HasFields<M>) member.Fields(FieldDescriber(name + ".", out_));
  }
  template <class M>
  void Nested(const std::string& name, std::optional<M>& member) {
    M value = member ? *member : M{};
    Nested(name, value);
  }
  template <class M>
  void Nested(const std::string& name, std::vector<M>&) {
    M value{};
    Nested(name + "[]", value);
  }
  template <class M>
  void Nested(const std::string& name, std::map<std::string, M>&) {
    M value{};
    Nested(name + ".*", value);
  }

  std::string prefix_;
  std::vector<FieldHelp>& out_;
};

struct FieldNamer {
  std::vector<std::string> names;
  template <class M, class... Extras>
  void operator()(const char* name, M&, const char*, const Extras&...) {
    names.emplace_back(name);
  }
};

}  // namespace internal

// Reads the map `node` over the defaults that `value` holds, and adds what is wrong to `problems`.
// Validate() runs only where the fields themselves are right.
template <HasFields T>
void ReadFields(const Node& node, T& value, Problems& problems) {
  if (!internal::RequireMap(node, problems)) return;
  const size_t before = problems.count();
  internal::FieldReader reader(node, problems);
  value.Fields(reader);
  reader.RefuseUnknownKeys();
  if constexpr (requires { std::as_const(value).Validate(node, problems); }) {
    if (problems.count() == before) std::as_const(value).Validate(node, problems);
  }
}

// ConfigError with all problems.
template <HasFields T>
T ReadStruct(const Node& node) {
  T value{};
  Problems problems;
  ReadFields(node, value, problems);
  problems.ThrowIfAny();
  return value;
}

// Every field, defaults included, as one line of JSON with keys in field order. Enters
// fingerprints: equal values give equal text, however they were written.
template <HasFields T>
std::string CanonicalText(const T& value) {
  internal::FieldWriter writer;
  const_cast<T&>(value).Fields(writer);  // the writer only reads; Fields serves readers too
  return writer.Text();
}

template <HasFields T>
std::vector<FieldHelp> DescribeFields() {
  T value{};
  std::vector<FieldHelp> lines;
  value.Fields(internal::FieldDescriber("", lines));
  return lines;
}

// The keys of the struct itself, e.g. to split a map between two structs with Node::Only/Without.
template <HasFields T>
std::vector<std::string> FieldNames() {
  T value{};
  internal::FieldNamer namer;
  value.Fields(namer);
  return namer.names;
}

}  // namespace condense
