// Strict JSON from text that is already in memory; ReadJson (checkpoint.h) is the same for files.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace condense {

// DataError, which begins with `where`, for malformed text and for a key that an object has twice.
nlohmann::json ParseJson(std::string_view text, const std::string& where);

}  // namespace condense
