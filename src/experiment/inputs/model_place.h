// Models by name: where their folder is looked for (configs/models/<name>.yaml).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/fields.h"

namespace condense {

// configs/models/<name>.yaml
struct ModelSettings {
  std::string title, family;
  std::optional<int64_t> parameters;
  std::string path;                  // bundled models: the folder, relative to configs/
  std::vector<std::string> folders;  // others: names looked for under --models, in order
  Node config;                       // what config.json says of its shape; null if not known

  template <class V>
  void Fields(V&& field) {
    field("title", title, "name in tables", Required{}, NonEmpty{});
    field("family", family, "what config.json must describe", Required{}, NonEmpty{});
    field("parameters", parameters, "unique parameters of the dense model", Range::AtLeast(1));
    field("path", path, "bundled models: the folder, relative to configs/", NonEmpty{});
    field("folders", folders, "names looked for in the folders of --models", NonEmpty{});
    field("config", config, "what config.json says of its shape, for `runner synthesize`");
  }
  void Validate(const Node& at, Problems& problems) const;
};

// A model as an experiment names it.
struct ModelRef {
  std::string name;
  std::filesystem::path folder;  // given in the experiment; empty: found by name
  Location where;
};
// A name of configs/models, or {name: NAME, path: FOLDER} for a folder of the user's.
template <>
struct FieldType<ModelRef> {
  static void Read(const Node& node, ModelRef& value, Problems& problems);
  static std::string Canonical(const ModelRef& value) { return JsonString(value.name); }
  static std::string TypeName() { return "model"; }
};

// Where a model lies, or where it was looked for in vain.
struct ModelPlace {
  std::string name, title;
  std::optional<std::filesystem::path> folder;
  std::vector<std::filesystem::path> looked;  // every folder, in order; below DIR without --models
  std::string family;                         // empty: not declared
  std::optional<int64_t> parameters;
};

// The first place with a StoredModelAt() (hub_cache.h). `roots`: the folders of --models.
ModelPlace LocateModel(const ModelRef& model, const std::vector<std::filesystem::path>& roots);
// All places looked at and what a folder must hold, for people.
std::string MissingModelText(const ModelPlace& place);

// The folder of a command's --model: a folder, that of a model in a Hugging Face cache, a name of
// configs/models, or an id "org/name" of the hub, found in `roots` or in the user's cache. ConfigError
// or DataError otherwise.
std::filesystem::path RequireModelFolder(const std::string& folder_or_name,
                                         const std::vector<std::filesystem::path>& roots);

}  // namespace condense
