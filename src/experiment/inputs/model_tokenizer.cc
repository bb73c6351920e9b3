#include "experiment/inputs/model_tokenizer.h"

#include "base/file.h"
#include "model/stored/gguf/gguf_model.h"
#include "model/stored/stored_files.h"
#include "tokenizer/tokenizer_files.h"

namespace condense {

std::unique_ptr<Tokenizer> LoadModelTokenizer(const std::filesystem::path& place) {
  const auto gguf = GgufFileOf(place);
  return gguf ? LoadTokenizer(*gguf, TokenizerFilesOfGguf(*gguf)) : LoadTokenizer(place);
}

std::optional<std::string> ModelFile(const std::filesystem::path& place, const std::string& name) {
  if (const auto gguf = GgufFileOf(place)) {
    const auto files = TokenizerFilesOfGguf(*gguf);
    const auto found = files.find(name);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  }
  std::error_code ignored;
  if (!std::filesystem::exists(place / name, ignored)) return std::nullopt;
  return ReadFile(place / name);
}

}  // namespace condense
