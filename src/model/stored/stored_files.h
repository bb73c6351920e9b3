// Of which files a stored model consists, without opening it: a model folder or a GGUF file.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

namespace condense {

// The GGUF file that a place stands for: the place itself, or the only one (or the first of the only
// split set) in a folder that has no other weights. DataError where a folder holds several.
std::optional<std::filesystem::path> GgufFileOf(const std::filesystem::path& place);

// A folder counts as a stored model if it holds a config.json; so does whatever stands for a GGUF
// file.
bool IsStoredModel(const std::filesystem::path& place);

struct StoredFiles {
  std::vector<std::filesystem::path> weights;  // sorted
  // Those that are there; a GGUF file holds all three.
  std::vector<std::filesystem::path> config;
  std::vector<std::filesystem::path> tokenizer;
};
// DataError if there are no weights.
StoredFiles FilesOf(const std::filesystem::path& place);

// The files beside the weights that belong to the tokenizer and travel with a compressed model.
std::vector<std::filesystem::path> TokenizerFiles(const std::filesystem::path& place);

}  // namespace condense
