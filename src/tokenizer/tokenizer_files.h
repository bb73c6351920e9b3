// Tokenizers whose files are in memory instead of a folder.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "tokenizer/tokenizer.h"

namespace condense {

using TokenizerFileMap = std::map<std::string, std::string>;  // contents by name

// As of a folder with these files; `place` is what messages call it.
std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& place,
                                         const TokenizerFileMap& files);

}  // namespace condense
