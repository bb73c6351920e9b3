#include "tokenizer/tokenizer.h"

#include "base/error.h"
#include "tokenizer/formats/folder.h"
#include "tokenizer/formats/loaders.h"
#include "tokenizer/formats/settings.h"
#include "tokenizer/tokenizer_files.h"

namespace condense {

namespace {

// Given add_prefix_space, a LlamaTokenizer is made anew from tokenizer.model.
bool IsMadeFromSentencePiece(TokenizerFolder folder) {
  if (!folder.Has("tokenizer.model")) return false;
  const TokenizerSettings settings = ReadSettings(folder);
  return settings.add_prefix_space && settings.known_class != nullptr &&
         settings.known_class->heeds_spaces;
}

std::unique_ptr<Tokenizer> Load(const std::filesystem::path& path, const TokenizerFileMap* files) {
  TokenizerFolder folder(path, files);
  // What is read to decide this does not enter the digest.
  const bool has_json =
      folder.Has("tokenizer.json") && !IsMadeFromSentencePiece(TokenizerFolder(path, files));
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

}  // namespace

std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& path) {
  return Load(path, nullptr);
}

std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& place,
                                         const TokenizerFileMap& files) {
  return Load(place, &files);
}

}  // namespace condense
