#include "model/stored/gguf/gguf_vocabulary.h"

#include "base/error.h"
#include "base/strings.h"

namespace condense {

GgufVocabulary::GgufVocabulary(const GgufFile& file, int64_t size)
    : metadata_(&file.metadata()), path_(file.files().front().string()) {
  const auto* tokens = metadata_->Strings("tokenizer.ggml.tokens");
  if (tokens == nullptr) {
    throw MakeError<DataError>("{}: the metadata lack 'tokenizer.ggml.tokens'", path_);
  }
  tokens_ = *tokens;
  if (this->size() != size) {
    throw MakeError<DataError>(
        "{}: tokenizer.ggml.tokens has {} tokens, but token_embd.weight has {} rows; the file was "
        "put together from two models, or converted wrongly",
        path_, this->size(), size);
  }
  for (int64_t id = 0; id < size; ++id) {
    const std::string_view token = tokens_[static_cast<size_t>(id)];
    if (InvalidUtf8At(token)) {
      throw MakeError<DataError>("{}: token {} is not valid UTF-8", path_, id);
    }
    const auto [known, added] = ids_.try_emplace(token, id);
    if (!added) {
      throw MakeError<DataError>("{}: tokens {} and {} are both '{}'", path_, known->second, id,
                                 token);
    }
  }
  const auto types = metadata_->Integers("tokenizer.ggml.token_type");
  if (types && static_cast<int64_t>(types->size()) != size) {
    throw MakeError<DataError>("{}: tokenizer.ggml.token_type has {} entries, expected {}", path_,
                               types->size(), size);
  }
  for (int64_t id = 0; id < size; ++id) {
    const int64_t type = types ? (*types)[static_cast<size_t>(id)] : 1;
    if (type < 1 || type > 6) {
      throw MakeError<DataError>("{}: token {} has the type {}, expected 1 to 6", path_, id, type);
    }
    types_.push_back(static_cast<GgufTokenType>(type));
  }
}

std::optional<int64_t> GgufVocabulary::Special(const char* name) const {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
  const auto id = metadata_->Integer(key);
  if (!id) return std::nullopt;
  if (*id < 0 || *id >= size()) {
    throw MakeError<DataError>("{}: {} is {}, but there are {} tokens", path_, key, *id, size());
  }
  return id;
}

}  // namespace condense
