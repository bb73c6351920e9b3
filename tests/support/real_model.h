// A real model, SmolLM2-135M, whose stored values are among the development data. Tests skip without
// it: CONDENSE_MODELS names the folder that holds its folder, otherwise models/ of the source folder.
#pragma once

#include "support/shared_data.h"

namespace condense {

inline constexpr const char* kRealModel = "smollm2-135m";

inline bool IsRealModel(const std::string& name) { return name == kRealModel; }

// As ModelFolder(); of the real model where scripts/get_model.sh puts it.
inline std::filesystem::path AnyModelFolder(const std::string& name) {
  const auto folder = ModelFolder(name);
  if (!IsRealModel(name) || std::filesystem::exists(folder)) return folder;
  const char* named = std::getenv("CONDENSE_MODELS");
  return (named != nullptr ? std::filesystem::path(named) : SourceFolder() / "models") / name;
}

// Tests compare as much of the real model's values as takes seconds; with CONDENSE_WHOLE_GOLDENS
// all that are stored, which takes minutes.
inline bool ComparesWholeGoldens() { return std::getenv("CONDENSE_WHOLE_GOLDENS") != nullptr; }

// "forward/llama2-mini.json", relative to golden/
inline std::filesystem::path GoldenOfModel(const std::string& part, const std::string& model,
                                           const std::string& ending) {
  const std::filesystem::path relative = std::filesystem::path(part) / (model + ending);
  return IsRealModel(model) ? "smollm2" / relative : relative;
}

}  // namespace condense
