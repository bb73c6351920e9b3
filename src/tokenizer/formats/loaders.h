// One reader for each file format; LoadTokenizer (tokenizer.h) chooses among them.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/components/added_tokens.h"
#include "tokenizer/formats/folder.h"
#include "tokenizer/tokenizer.h"

namespace condense {

std::unique_ptr<Tokenizer> LoadTokenizerJson(TokenizerFolder& folder);
// The "added_tokens" of a tokenizer.json, with their ids.
std::vector<NamedToken> ReadAddedTokens(const JsonNode& root);
std::unique_ptr<Tokenizer> LoadVocabAndMerges(TokenizerFolder& folder);
// `bytes`: the content of tokenizer.model, which TokenizerFolder has read.
std::unique_ptr<Tokenizer> LoadSentencePiece(TokenizerFolder& folder, std::string_view bytes);
std::unique_ptr<Tokenizer> LoadTiktokenRanks(TokenizerFolder& folder, std::string_view bytes);
// Whether a file begins with a line "<base64> <number>".
bool LooksLikeTiktokenRanks(std::string_view bytes);

}  // namespace condense
