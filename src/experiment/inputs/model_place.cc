#include "experiment/inputs/model_place.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "config/paths.h"
#include "experiment/inputs/hub_cache.h"
#include "experiment/inputs/model_download.h"
#include "model/stored/foreign.h"
#include "model/stored/stored_files.h"

namespace condense {
namespace fs = std::filesystem;
namespace {

struct FolderRef {
  std::string name, path;

  template <class V>
  void Fields(V&& field) {
    field("name", name, "name in tables", Required{}, NonEmpty{});
    field("path", path, "folder of the checkpoint, relative to the experiment's file", Required{},
          NonEmpty{});
  }
};

}  // namespace

void ModelSettings::Validate(const Node& at, Problems& problems) const {
  if (path.empty() == folders.empty()) problems.Add(at, "give either path or folders");
}

void FieldType<ModelRef>::Read(const Node& node, ModelRef& value, Problems& problems) {
  value.where = node.where();
  if (node.IsMap()) {
    FolderRef given;
    const size_t before = problems.count();
    ReadFields(node, given, problems);
    if (problems.count() != before) return;
    value.name = given.name;
    value.folder = fs::path(node.where().file).parent_path() / given.path;
    return;
  }
  if (!node.IsScalar()) {
    return AddExpected(node, "the name of a model, or {name: NAME, path: FOLDER}", problems);
  }
  value.name = node.text();
  const std::vector<std::string> known = ListConfigs("models");
  if (std::find(known.begin(), known.end(), value.name) != known.end()) return;
  problems.Add(node, fmt::format("unknown model '{}'{} (a folder of your own: {{name: NAME, path: "
                                 "FOLDER}})",
                                 value.name, SuggestName(value.name, known)));
}

ModelPlace LocateModel(const ModelRef& model, const std::vector<fs::path>& roots) {
  ModelPlace place;
  place.name = place.title = model.name;
  if (!model.folder.empty()) {
    place.looked = {model.folder};
  } else {
    const auto settings =
        ReadStruct<ModelSettings>(Node::ParseFile(NamedConfig("models", model.name)));
    place.title = settings.title;
    place.family = settings.family;
    place.parameters = settings.parameters;
    if (!settings.path.empty()) place.looked.push_back(ConfigFolder() / settings.path);
    // Without --models there is nowhere to look, but the names tell what to download.
    const std::vector<fs::path> parents = roots.empty() ? std::vector<fs::path>{"DIR"} : roots;
    for (const fs::path& root : parents) {
      for (const std::string& name : settings.folders) {
        place.looked.push_back(root / name);
        if (name.find('/') != std::string::npos) continue;
        for (const fs::path& cached : CachedModels(root, name)) place.looked.push_back(cached);
      }
    }
    if (settings.path.empty() && roots.empty()) return place;
  }
  for (const fs::path& looked : place.looked) {
    if ((place.folder = StoredModelAt(looked))) break;
  }
  return place;
}

std::string MissingModelText(const ModelPlace& place) {
  std::string text = fmt::format("model {}: no checkpoint found; looked for", place.name);
  for (const fs::path& folder : place.looked) text += fmt::format("\n    {}/", folder.string());
  if (const auto get = DownloadCommand(place.name)) text += "\n  download it with: " + *get;
  return text +
         "\n  with config.json, the weights (model.safetensors, model.safetensors.index.json with "
         "its shards, or pytorch_model*.bin) and the tokenizer (tokenizer.json, tokenizer.model, "
         "or vocab.json with merges.txt); name the folder DIR with --models DIR";
}

namespace {

// What is wrong with a folder that was named as a model and is none.
[[noreturn]] void ThrowNoModelIn(const fs::path& folder) {
  std::vector<std::string> ids = IdsInCache(folder);
  if (ids.empty()) ids = IdsInCache(folder / "hub");
  if (!ids.empty()) {
    throw MakeError<ConfigError>(
        "--model {}: a Hugging Face cache; name a model in it: --models {} "
        "--model {}",
        folder.string(), folder.string(), Join(ids, ", or "));
  }
  if (fs::is_directory(folder / "snapshots")) {
    throw MakeError<DataError>(
        "{}: refs/main names no complete snapshot, and snapshots/ does not hold exactly one; name "
        "one of its folders, or download the model again",
        folder.string());
  }
  const auto foreign = ForeignFolder(folder);
  throw MakeError<DataError>(
      "{}: not a model folder, because it has no config.json and no GGUF file{}", folder.string(),
      foreign ? "; " + *foreign : "");
}

// Of a hub id: its folder. ConfigError that says where it was looked for.
fs::path RequireHubModel(const std::string& id, const std::vector<fs::path>& roots) {
  const std::vector<fs::path> places = HubPlaces(id, roots);
  std::string looked;
  for (const fs::path& place : places) {
    if (const auto folder = StoredModelAt(place)) return *folder;
    looked += fmt::format("\n    {}/", place.string());
  }
  throw MakeError<ConfigError>(
      "--model {}: no such folder, and no complete model of this id; looked for{}\n  download it "
      "with: hf download {}; or name the folder that holds it with --models",
      id, looked, id);
}

}  // namespace

fs::path RequireModelFolder(const std::string& folder_or_name, const std::vector<fs::path>& roots) {
  if (const auto folder = StoredModelAt(folder_or_name)) return *folder;
  if (EndsWith(folder_or_name, ".gguf")) {
    throw MakeError<ConfigError>("--model {}: no such file", folder_or_name);
  }
  const std::vector<std::string> known = ListConfigs("models");
  if (std::find(known.begin(), known.end(), folder_or_name) != known.end()) {
    const ModelPlace place = LocateModel({folder_or_name, {}, {}}, roots);
    if (place.folder) return *place.folder;
    throw ConfigError(MissingModelText(place));
  }
  std::error_code ignored;
  if (fs::is_directory(folder_or_name, ignored)) ThrowNoModelIn(folder_or_name);
  if (IsHubId(folder_or_name)) return RequireHubModel(folder_or_name, roots);
  throw MakeError<ConfigError>("--model {}: neither a folder nor the name of a model{}",
                               folder_or_name, SuggestName(folder_or_name, known));
}

}  // namespace condense
