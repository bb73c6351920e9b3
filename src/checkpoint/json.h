// JSON files of a checkpoint: read strictly (base/json.h), written atomically.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace condense {

nlohmann::json ReadJson(const std::filesystem::path& path);
void WriteJson(const std::filesystem::path& path, const nlohmann::json& value);

}  // namespace condense
