// How the bytes of a corpus file become rows, and which of them a split takes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/corpus.h"

namespace condense {

// Pieces between newlines, without the empty one after the last newline: a blank line becomes "",
// any other keeps its spaces and gets its newline back (protocols.md 1.1).
std::vector<std::string> WikiTextRows(std::string_view text);

// A row that opens an article: " = Title = ", but not " = = Section = = ".
bool IsArticleTitle(std::string_view row);

// The rows of one file that belong to a split; `text` is valid UTF-8.
std::vector<std::string> ReadSelectedRows(const CorpusSpec& spec, const CorpusSplit& split,
                                          std::string_view text, const std::filesystem::path& path);

bool ReaderCounts(CorpusReader reader, CorpusUnit unit);

// A part of the seeded split into train (80 %), validation and test (10 % each) of
// protocols.md 2.6.
std::vector<std::string> SelectPartition(std::vector<std::string> rows, CorpusPartition partition);
std::vector<int64_t> PartitionIndices(int64_t count, CorpusPartition partition);

// The prompt and response of an instruction record as one text (protocols.md 2.6).
std::string AlpacaText(std::string_view instruction, std::string_view input,
                       std::string_view output);

}  // namespace condense
