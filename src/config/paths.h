// Where the program's own data lies: the folders configs/ and experiments/.
//
// Looked for in this order: the environment (CONDENSE_CONFIGS, CONDENSE_EXPERIMENTS); beside the
// executable as installed (<bin>/../share/condense/); the folders above the executable, for a build
// tree; the current folder.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace condense {

// DataError naming all places looked at.
std::filesystem::path ConfigFolder();
std::filesystem::path ExperimentsFolder();

// configs/<kind>/<name>.yaml, e.g. NamedConfig("models", "llama-2-7b"); ConfigError with the
// nearest existing name.
std::filesystem::path NamedConfig(std::string_view kind, std::string_view name);
std::vector<std::string> ListConfigs(
    std::string_view kind);  // sorted names; empty without the folder

// The search itself, with its surroundings given.
struct Surroundings {
  std::filesystem::path executable;  // may be empty: not known
  std::filesystem::path current_folder;
  const char* named = nullptr;  // value of the environment variable, if set
};
std::filesystem::path FindDataFolder(std::string_view folder, std::string_view variable,
                                     const Surroundings& surroundings);

}  // namespace condense
