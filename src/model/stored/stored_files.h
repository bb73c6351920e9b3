// Of which files a stored model consists, without opening it.
#pragma once

#include <filesystem>
#include <vector>

namespace condense {

// A folder counts as a stored model if it holds a config.json.
bool IsStoredModel(const std::filesystem::path& place);

struct StoredFiles {
  std::vector<std::filesystem::path> weights;  // sorted
  std::vector<std::filesystem::path> config;
  std::vector<std::filesystem::path> tokenizer;  // those that are there
};
// DataError if there are no weights.
StoredFiles FilesOf(const std::filesystem::path& place);

// The files beside the weights that belong to the tokenizer and travel with a compressed model.
std::vector<std::filesystem::path> TokenizerFiles(const std::filesystem::path& place);

}  // namespace condense
