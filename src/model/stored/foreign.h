// What a checkpoint is that is not the dense model its config.json describes: recognised by names
// and keys, so that the message can say what to do.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace condense {

// "the weights are quantized (quantization_config: gptq); ...", for weights that do not fit the
// model; nullopt for weights of no known kind. config: config.json. names: those of the tensors.
std::optional<std::string> ForeignWeights(const nlohmann::json& config,
                                          const std::vector<std::string>& names);

// The same of a folder without config.json: an adapter, or Meta's own format.
std::optional<std::string> ForeignFolder(const std::filesystem::path& folder);

}  // namespace condense
