#include "config/paths.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

bool IsFolder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// Two names together tell the root of the source tree from any other folder.
bool IsSourceTree(const fs::path& path) {
  return IsFolder(path / "configs") && IsFolder(path / "experiments");
}

Surroundings OfThisProcess(const char* variable) {
  std::error_code ignored;
  return {fs::read_symlink("/proc/self/exe", ignored), fs::current_path(ignored),
          std::getenv(variable)};
}

}  // namespace

fs::path FindDataFolder(std::string_view folder, std::string_view variable,
                        const Surroundings& surroundings) {
  if (surroundings.named != nullptr && *surroundings.named != '\0') {
    if (IsFolder(surroundings.named)) return surroundings.named;
    throw MakeError<DataError>("{} names '{}', which is not a folder", variable,
                               surroundings.named);
  }
  std::vector<std::string> looked;
  if (!surroundings.executable.empty()) {
    const fs::path bin = surroundings.executable.parent_path();
    const fs::path installed = bin.parent_path() / "share" / "condense" / folder;
    if (IsFolder(installed)) return installed;
    looked.push_back(installed.string());
    for (fs::path above = bin; above.has_relative_path(); above = above.parent_path()) {
      if (IsSourceTree(above)) return above / folder;
    }
    looked.push_back(
        fmt::format("the folders above {} that hold configs/ and experiments/", bin.string()));
  }
  const fs::path here = surroundings.current_folder / folder;
  if (IsFolder(here)) return here;
  looked.push_back(here.string());
  throw MakeError<DataError>("no folder {}/ found; looked for {}; name it with {}", folder,
                             Join(looked, ", "), variable);
}

fs::path ConfigFolder() {
  return FindDataFolder("configs", "CONDENSE_CONFIGS", OfThisProcess("CONDENSE_CONFIGS"));
}

fs::path ExperimentsFolder() {
  return FindDataFolder("experiments", "CONDENSE_EXPERIMENTS",
                        OfThisProcess("CONDENSE_EXPERIMENTS"));
}

std::vector<std::string> ListConfigs(std::string_view kind) {
  std::vector<std::string> names;
  const fs::path folder = ConfigFolder() / kind;
  if (!IsFolder(folder)) return names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml" && !entry.is_directory()) {
      names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

fs::path NamedConfig(std::string_view kind, std::string_view name) {
  const std::vector<std::string> names = ListConfigs(kind);
  const fs::path folder = ConfigFolder() / kind;
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    throw MakeError<ConfigError>("no '{}.yaml' in {}{}", name, folder.string(),
                                 SuggestName(name, names));
  }
  return folder / fmt::format("{}.yaml", name);
}

}  // namespace condense
