#include "checkpoint/weight_files.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/torch/torch_file.h"

namespace condense {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Format {
  const char* single;
  const char* index;
  std::vector<StoredTensor> (*read)(const MappedFile&);
};

constexpr Format kFormats[] = {
    {"model.safetensors", "model.safetensors.index.json", ReadSafetensorsHeader},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", ReadTorchFile}};

WeightFile OpenOne(const fs::path& path, const Format& format) {
  auto map = std::make_shared<const MappedFile>(path);
  auto tensors = format.read(*map);
  return {std::move(map), std::move(tensors)};
}

// The index's "weight_map": tensor to shard, with names of shards that lie in the same folder.
std::map<std::string, std::string> ReadWeightMap(const fs::path& path) {
  const Json index = ReadJson(path);
  const auto found = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || found == index.end() || !found->is_object() || found->empty()) {
    throw MakeError<DataError>("{}: expected an object \"weight_map\" from tensors to files",
                               path.string());
  }
  std::map<std::string, std::string> map;
  for (const auto& [tensor, shard] : found->items()) {
    const bool named = shard.is_string() && !shard.get<std::string>().empty();
    if (!named || fs::path(shard.get<std::string>()).filename() != shard.get<std::string>()) {
      throw MakeError<DataError>(
          "{}: tensor '{}' is in {}, expected the name of a file in the folder", path.string(),
          tensor, shard.dump());
    }
    map[tensor] = shard.get<std::string>();
  }
  return map;
}

void RequireAsIndexed(const WeightFile& file, const std::string& shard,
                      const std::map<std::string, std::string>& map, const fs::path& index) {
  std::set<std::string> present;
  for (const StoredTensor& tensor : file.tensors) {
    present.insert(tensor.name);
    const auto indexed = map.find(tensor.name);
    if (indexed == map.end()) {
      throw MakeError<DataError>("{}: tensor '{}' is not named by {}", file.map->path().string(),
                                 tensor.name, index.filename().string());
    }
    if (indexed->second != shard) {
      throw MakeError<DataError>(
          "{}: tensor '{}' is here, but {} puts it into {}; a name may occur once",
          file.map->path().string(), tensor.name, index.filename().string(), indexed->second);
    }
  }
  for (const auto& [tensor, expected] : map) {
    if (expected == shard && !present.contains(tensor)) {
      throw MakeError<DataError>("{}: tensor '{}' is missing, although {} puts it here",
                                 file.map->path().string(), tensor, index.filename().string());
    }
  }
}

// A link whose target is missing, as an interrupted download into a cache leaves it.
void RefuseBrokenLink(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_symlink(path, ignored) || fs::exists(path, ignored)) return;
  throw MakeError<DataError>(
      "{}: a link to {}, which is missing; the download into this folder is not complete, or the "
      "folder was copied without what its links name",
      path.string(), fs::read_symlink(path, ignored).string());
}

std::vector<WeightFile> OpenSharded(const fs::path& index, const Format& format) {
  const auto map = ReadWeightMap(index);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map) shards.insert(shard);
  std::vector<WeightFile> files;
  for (const std::string& shard : shards) {
    const fs::path path = index.parent_path() / shard;
    RefuseBrokenLink(path);
    if (!fs::exists(path)) {
      throw MakeError<DataError>("{}: names the file '{}', which is missing", index.string(),
                                 shard);
    }
    files.push_back(OpenOne(path, format));
    RequireAsIndexed(files.back(), shard, map, index);
  }
  return files;
}

[[noreturn]] void ThrowNoWeights(const fs::path& folder) {
  std::vector<std::string> wanted, present;
  for (const Format& format : kFormats) {
    wanted.emplace_back(format.single);
    wanted.emplace_back(format.index);
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    present.push_back(entry.path().filename().string());
  }
  std::sort(present.begin(), present.end());
  if (present.size() > 12) {
    present.resize(12);
    present.emplace_back("...");
  }
  throw MakeError<DataError>("{}: no weights; expected one of {}; the folder {}", folder.string(),
                             Join(wanted, ", "),
                             present.empty() ? "is empty" : "holds " + Join(present, ", "));
}

}  // namespace

std::vector<WeightFile> OpenWeightFiles(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw MakeError<DataError>(
        "{}: {}", folder.string(),
        fs::exists(folder) ? "is a file, expected the folder of a model" : "no such folder");
  }
  for (const Format& format : kFormats) {
    if (fs::exists(folder / format.single)) {
      std::vector<WeightFile> files;
      files.push_back(OpenOne(folder / format.single, format));
      return files;
    }
    if (fs::exists(folder / format.index)) return OpenSharded(folder / format.index, format);
  }
  for (const Format& format : kFormats) {
    RefuseBrokenLink(folder / format.single);
    RefuseBrokenLink(folder / format.index);
  }
  ThrowNoWeights(folder);
}

}  // namespace condense
