#include "experiment/inputs/hub_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/strings.h"
#include "model/stored/stored_files.h"

namespace condense {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPrefix = "models--";

std::vector<fs::path> FoldersIn(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code error, ignored;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(ignored)) folders.push_back(it->path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::optional<fs::path> SnapshotOf(const fs::path& cached) {
  const fs::path snapshots = cached / "snapshots", main = cached / "refs" / "main";
  std::error_code ignored;
  if (fs::is_regular_file(main, ignored)) {
    const std::string revision(Trim(ReadFile(main)));
    // A revision is the name of a folder, never a path.
    const bool plain = !revision.empty() && fs::path(revision).filename() == revision;
    if (plain && IsStoredModel(snapshots / revision)) return snapshots / revision;
  }
  std::vector<fs::path> complete = FoldersIn(snapshots);
  std::erase_if(complete, [](const fs::path& folder) { return !IsStoredModel(folder); });
  if (complete.size() != 1) return std::nullopt;
  return complete.front();
}

// "models--org--name" of "org/name".
std::string CacheName(const std::string& id) {
  const size_t slash = id.find('/');
  return std::string(kPrefix) + id.substr(0, slash) + "--" + id.substr(slash + 1);
}

std::optional<fs::path> FolderNamedBy(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return fs::path(value);
}

std::optional<fs::path> UsersCache() {
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const auto folder = FolderNamedBy(variable)) return folder;
  }
  if (const auto home = FolderNamedBy("HF_HOME")) return *home / "hub";
  if (const auto cache = FolderNamedBy("XDG_CACHE_HOME")) return *cache / "huggingface" / "hub";
  if (const auto home = FolderNamedBy("HOME")) return *home / ".cache" / "huggingface" / "hub";
  return std::nullopt;
}

}  // namespace

std::optional<fs::path> StoredModelAt(const fs::path& place) {
  if (IsStoredModel(place)) return place;
  return SnapshotOf(place);
}

bool IsHubId(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/';
  };
  const size_t slash = text.find('/');
  return slash != std::string_view::npos && slash > 0 && slash + 1 < text.size() &&
         text.find('/', slash + 1) == std::string_view::npos && text.front() != '.' &&
         text[slash + 1] != '.' && std::all_of(text.begin(), text.end(), allowed);
}

std::vector<fs::path> HubPlaces(const std::string& id, const std::vector<fs::path>& roots) {
  std::vector<fs::path> places;
  for (const fs::path& root : roots) {
    places.push_back(root / id);
    places.push_back(root / CacheName(id));
    places.push_back(root / "hub" / CacheName(id));
  }
  if (const auto cache = UsersCache()) places.push_back(*cache / CacheName(id));
  return places;
}

std::vector<fs::path> CachedModels(const fs::path& root, const std::string& name) {
  std::vector<fs::path> found;
  for (const fs::path& cache : {root, root / "hub"}) {
    for (const fs::path& folder : FoldersIn(cache)) {
      const std::string own = folder.filename().string();
      if (StartsWith(own, kPrefix) && EndsWith(own, "--" + name)) found.push_back(folder);
    }
  }
  return found;
}

std::vector<std::string> IdsInCache(const fs::path& folder) {
  std::vector<std::string> ids;
  for (const fs::path& cached : FoldersIn(folder)) {
    const std::string own = cached.filename().string();
    if (!StartsWith(own, kPrefix)) continue;
    const std::string name = own.substr(kPrefix.size());
    const size_t dashes = name.find("--");
    ids.push_back(dashes == std::string::npos
                      ? name
                      : fmt::format("{}/{}", name.substr(0, dashes), name.substr(dashes + 2)));
  }
  return ids;
}

}  // namespace condense
