#include "tokenizer/tokenizer.h"

#include "base/error.h"
#include "tokenizer/formats/folder.h"
#include "tokenizer/formats/loaders.h"

namespace condense {

std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& path) {
  TokenizerFolder folder(path);
  if (folder.Has("tokenizer.json")) return LoadTokenizerJson(folder);
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
