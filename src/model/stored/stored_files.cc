#include "model/stored/stored_files.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace fs = std::filesystem;
namespace {

std::vector<fs::path> FilesEndingWith(const fs::path& folder, std::string_view ending) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (EndsWith(entry.path().filename().string(), ending)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> WeightFiles(const fs::path& folder) {
  for (const std::string_view ending : {".safetensors", ".bin"}) {
    std::vector<fs::path> files = FilesEndingWith(folder, ending);
    if (!files.empty()) return files;
  }
  throw MakeError<DataError>(
      "{}: holds no weights; expected model.safetensors, its shards, or pytorch_model*.bin",
      folder.string());
}

}  // namespace

bool IsStoredModel(const fs::path& place) {
  std::error_code ignored;
  return fs::is_regular_file(place / "config.json", ignored);
}

std::vector<fs::path> TokenizerFiles(const fs::path& place) {
  std::vector<fs::path> files;
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
        "vocab.json", "merges.txt", "added_tokens.json", "generation_config.json"}) {
    if (fs::exists(place / name)) files.push_back(place / name);
  }
  return files;
}

StoredFiles FilesOf(const fs::path& place) {
  return {WeightFiles(place), {place / "config.json"}, TokenizerFiles(place)};
}

}  // namespace condense
