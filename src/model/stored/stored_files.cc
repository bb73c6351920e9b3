#include "model/stored/stored_files.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/gguf/gguf_file.h"

namespace condense {
namespace fs = std::filesystem;
namespace {

std::vector<fs::path> FilesEndingWith(const fs::path& folder, std::string_view ending) {
  std::vector<fs::path> files;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(folder, unreadable)) {
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

bool IsGgufFile(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored) && EndsWith(file.filename().string(), ".gguf");
}

// The GGUF file itself, or those of a folder without other weights, of a split set the first.
std::vector<fs::path> GgufFilesOf(const fs::path& place) {
  std::error_code ignored;
  if (IsGgufFile(place)) return {place};
  if (!fs::is_directory(place, ignored)) return {};
  for (const std::string_view ending : {".safetensors", ".bin"}) {
    if (!FilesEndingWith(place, ending).empty()) return {};
  }
  std::vector<fs::path> files;
  for (const fs::path& file : FilesEndingWith(place, ".gguf")) {
    if (IsGgufFile(file) && GgufParts(file).front() == file) files.push_back(file);
  }
  return files;
}

}  // namespace

std::optional<fs::path> GgufFileOf(const fs::path& place) {
  const std::vector<fs::path> files = GgufFilesOf(place);
  if (files.empty()) return std::nullopt;
  if (files.size() == 1) return files[0];
  std::vector<std::string> names;
  for (const fs::path& file : files) names.push_back(file.filename().string());
  throw MakeError<DataError>("{}: holds {} models in GGUF files ({}); name one of the files",
                             place.string(), files.size(), Join(names, ", "));
}

bool IsStoredModel(const fs::path& place) {
  std::error_code ignored;
  return fs::is_regular_file(place / "config.json", ignored) || !GgufFilesOf(place).empty();
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
  if (const auto gguf = GgufFileOf(place)) return {GgufParts(*gguf), {}, {}};
  return {WeightFiles(place), {place / "config.json"}, TokenizerFiles(place)};
}

}  // namespace condense
