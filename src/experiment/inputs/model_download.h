// Models that scripts/get_model.sh can download (configs/downloads), and where it puts them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace condense {

// The folders that are searched for models without --models: that of the environment variable
// CONDENSE_MODELS, or else models/ in the current folder, if there is one.
std::vector<std::filesystem::path> DefaultModelRoots();

// The command that downloads the model; nullopt if none is known.
std::optional<std::string> DownloadCommand(const std::string& model);

}  // namespace condense
