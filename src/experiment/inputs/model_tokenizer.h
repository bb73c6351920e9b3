// The tokenizer of a stored model, and the small files beside it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "tokenizer/tokenizer.h"

namespace condense {

// Of a model folder by LoadTokenizer(); of a GGUF file the one that its metadata describe, which equals
// that of the folder that import makes of it, digest and all.
std::unique_ptr<Tokenizer> LoadModelTokenizer(const std::filesystem::path& place);

// The text of a configuration file such as generation_config.json, of a GGUF file as import writes it;
// nullopt where there is none.
std::optional<std::string> ModelFile(const std::filesystem::path& place, const std::string& name);

}  // namespace condense
