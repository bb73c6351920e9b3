#include "tokenizer/tokenizer.h"

#include "base/error.h"
#include "tokenizer/formats/folder.h"
#include "tokenizer/formats/loaders.h"
#include "tokenizer/formats/settings.h"

namespace condense {

namespace {

// Given add_prefix_space, a LlamaTokenizer is made anew from tokenizer.model.
bool IsMadeFromSentencePiece(const std::filesystem::path& path) {
  TokenizerFolder folder(path);  // what is read here does not enter the digest
  if (!folder.Has("tokenizer.model")) return false;
  const TokenizerSettings settings = ReadSettings(folder);
  return settings.add_prefix_space && settings.known_class != nullptr &&
         settings.known_class->heeds_spaces;
}

}  // namespace

std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& path) {
  TokenizerFolder folder(path);
  const bool has_json = folder.Has("tokenizer.json") && !IsMadeFromSentencePiece(path);
  if (has_json) return LoadTokenizerJson(folder);
  if (folder.Has("vocab.json") && folder.Has("merges.txt")) return LoadVocabAndMerges(folder);
  if (folder.Has("tokenizer.model")) {
    const std::string bytes = folder.Read("tokenizer.model");
    return LooksLikeTiktokenRanks(bytes) ? LoadTiktokenRanks(folder, bytes)
                                         : LoadSentencePiece(folder, bytes);
  }
  throw MakeError<DataError>(
      "{}: no tokenizer here; expected tokenizer.json, vocab.json with merges.txt, or "
      "tokenizer.model",
      path.string());
}

}  // namespace condense
