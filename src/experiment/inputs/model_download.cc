#include "experiment/inputs/model_download.h"

#include <fmt/format.h>

#include <cstdlib>

#include "config/paths.h"

namespace condense {
namespace fs = std::filesystem;

std::vector<fs::path> DefaultModelRoots() {
  const char* named = std::getenv("CONDENSE_MODELS");
  if (named != nullptr && *named != '\0') return {named};
  std::error_code ignored;
  if (fs::is_directory("models", ignored)) return {"models"};
  return {};
}

// As it can be typed here: relative to the current folder where the script lies in it.
std::optional<std::string> DownloadCommand(const std::string& model) {
  std::error_code ignored;
  if (!fs::exists(ConfigFolder() / "downloads" / (model + ".yaml"), ignored)) return std::nullopt;
  const fs::path script = ConfigFolder().parent_path() / "scripts/get_model.sh";
  const fs::path here = script.lexically_proximate(fs::current_path(ignored));
  return fmt::format("{} {}", (*here.begin() == ".." ? script : here).string(), model);
}

}  // namespace condense
