// Strict JSON: malformed text, a key that an object has twice and nesting deeper than
// kDeepestJson are DataErrors.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace condense {

// `where` begins every error message, which says line and column.
nlohmann::json ParseJson(std::string_view text, const std::string& where);
// The same for a file.
nlohmann::json ReadJson(const std::filesystem::path& path);
void WriteJson(const std::filesystem::path& path, const nlohmann::json& value);

}  // namespace condense
