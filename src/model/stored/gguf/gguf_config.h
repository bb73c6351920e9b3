// The metadata of a GGUF file as the config.json that the same model has in a folder.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "checkpoint/gguf/gguf_file.h"

namespace condense {

// config.json of a model of the architectures llama and qwen2. DataError for another architecture,
// for what is missing, and for variants that a config.json cannot say (experts, a window).
nlohmann::json ConfigOfGguf(const GgufFile& file);

// Whether the file stores the rows of queries and keys with the two coordinates of a rotary pair
// side by side, instead of half a head apart.
bool HasInterleavedPairs(const GgufFile& file);

}  // namespace condense
