// Parts that register themselves by name, and fields that hold one of them.
//
// A part is one class in one file: it implements an interface, lists its options in a nested
// `struct Params` with Fields (or has none and a default constructor), and ends with
//   CONDENSE_REGISTER(Compressor, SliceGpt, "slicegpt", /*version=*/1, "Rotates and cuts ...");
// The version is raised when the part's results change; it enters fingerprints. An interface says
// what its parts are called in messages: `static constexpr const char* kKind = "method";`.
// Registries of different interfaces are independent. Files that register are linked as objects
// (REGISTERED in CMake), because a linker drops the members of a library that nothing refers to.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "config/fields.h"

namespace condense {

template <class Interface>
class Registry {
 public:
  struct Entry {
    std::string name;
    int version = 0;
    std::string summary;  // one sentence
    // Null, with problems added, if the options are wrong; `canonical` may be null.
    std::function<std::unique_ptr<Interface>(const Node& options, Problems&,
                                             std::string* canonical)>
        make;
    std::function<std::vector<FieldHelp>()> describe;
  };

  static Registry& Instance() {
    static Registry registry;
    return registry;
  }

  void Add(Entry entry) {
    CONDENSE_CHECK(Find(entry.name) == nullptr, "two parts register as {} '{}'", Interface::kKind,
                   entry.name);
    std::string name = entry.name;
    entries_.emplace(std::move(name), std::move(entry));
  }
  const Entry* Find(std::string_view name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second;
  }
  const Entry& Get(std::string_view name) const {
    if (const Entry* entry = Find(name)) return *entry;
    throw ConfigError(UnknownName(name));
  }
  std::vector<const Entry*> All() const {  // sorted by name
    std::vector<const Entry*> all;
    for (const auto& [name, entry] : entries_) all.push_back(&entry);
    return all;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_) names.push_back(name);
    return names;
  }
  // "unknown method 'modgpt'; did you mean 'modegpt'?"
  std::string UnknownName(std::string_view name) const {
    return fmt::format("unknown {} '{}'{}", Interface::kKind, name, SuggestName(name, Names()));
  }

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

// A part made from YAML: `name`, or `{use: name, option: value, ...}`.
template <class Interface>
struct Component {
  std::string name;  // empty: none was given
  int version = 0;
  std::string canonical = "null";  // {"use":"name","version":1,"options":{...}}
  std::shared_ptr<const Interface> object;
  Location where;

  explicit operator bool() const { return object != nullptr; }
  const Interface* operator->() const { return object.get(); }
  const Interface& operator*() const { return *object; }
};

// An empty component after adding problems. Keys that something else handles are taken out before:
// ReadComponent<I>(node.Without({"match", "label"}), problems).
template <class Interface>
Component<Interface> ReadComponent(const Node& node, Problems& problems) {
  const Registry<Interface>& registry = Registry<Interface>::Instance();
  const Node* use = node.IsMap() ? node.Find("use") : &node;
  if (use == nullptr) {
    problems.Add(node, fmt::format("missing key 'use': the name of the {}{}", Interface::kKind,
                                   SuggestName("", registry.Names())));
    return {};
  }
  if (!use->IsScalar()) {
    AddExpected(*use,
                fmt::format("the name of a {0} or {{use: NAME, OPTION: VALUE}}", Interface::kKind),
                problems);
    return {};
  }
  const auto* entry = registry.Find(use->text());
  if (entry == nullptr) {
    problems.Add(*use, registry.UnknownName(use->text()));
    return {};
  }
  std::string options;
  std::shared_ptr<const Interface> object =
      entry->make(node.IsMap() ? node.Without({"use"}) : node.Only({}), problems, &options);
  if (object == nullptr) return {};
  std::string canonical = fmt::format("{{\"use\":{},\"version\":{},\"options\":{}}}",
                                      JsonString(entry->name), entry->version, options);
  return {entry->name, entry->version, std::move(canonical), std::move(object), node.where()};
}

// ConfigError with all problems.
template <class Interface>
Component<Interface> MakeComponent(const Node& node) {
  Problems problems;
  Component<Interface> component = ReadComponent<Interface>(node, problems);
  problems.ThrowIfAny();
  return component;
}

// With all options at their defaults. Serves as default of a field:
//   Component<Allocator> allocator = MakeComponent<Allocator>("uniform");
template <class Interface>
Component<Interface> MakeComponent(std::string_view name) {
  return MakeComponent<Interface>(Node::String(std::string(name), {std::string(name)}));
}

template <class Interface>
struct FieldType<Component<Interface>> {
  static void Read(const Node& node, Component<Interface>& value, Problems& problems) {
    Component<Interface> read = ReadComponent<Interface>(node, problems);
    if (read) value = std::move(read);
  }
  static std::string Canonical(const Component<Interface>& value) { return value.canonical; }
  static std::string TypeName() { return Interface::kKind; }
  static std::string Allowed() { return Join(Registry<Interface>::Instance().Names(), " | "); }
  static std::string DefaultText(const Component<Interface>& value) {
    return value ? value.name : "none";
  }
};

namespace internal {

struct NoParams {
  template <class V>
  void Fields(V&&) {}
};

template <class Class>
struct ParamsOf {
  using Type = NoParams;
};
template <class Class>
requires requires { typename Class::Params; }
struct ParamsOf<Class> {
  using Type = typename Class::Params;
};

template <class Interface, class Class>
std::unique_ptr<Interface> MakeRegistered(const Node& options, Problems& problems,
                                          std::string* canonical) {
  using Params = typename ParamsOf<Class>::Type;
  Params params{};
  const size_t before = problems.count();
  ReadFields(options, params, problems);
  if (problems.count() != before) return nullptr;
  if (canonical != nullptr) *canonical = CanonicalText(params);
  if constexpr (std::same_as<Params, NoParams>) {
    return std::make_unique<Class>();
  } else {
    return std::make_unique<Class>(std::move(params));
  }
}

template <class Interface, class Class>
bool Register(std::string name, int version, std::string summary) {
  Registry<Interface>::Instance().Add({std::move(name), version, std::move(summary),
                                       MakeRegistered<Interface, Class>,
                                       DescribeFields<typename ParamsOf<Class>::Type>});
  return true;
}

}  // namespace internal
}  // namespace condense

#define CONDENSE_REGISTER_NAME_(counter) kRegistered##counter
#define CONDENSE_REGISTER_NAME(counter) CONDENSE_REGISTER_NAME_(counter)
#define CONDENSE_REGISTER(Interface, Class, name, version, summary)        \
  [[maybe_unused]] static const bool CONDENSE_REGISTER_NAME(__COUNTER__) = \
      ::condense::internal::Register<Interface, Class>(name, version, summary)
