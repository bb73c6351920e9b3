// The tokens of a GGUF file, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/gguf/gguf_file.h"

namespace condense {

// Numbered as in the file, and as in sentencepiece_model.proto.
enum class GgufTokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

class GgufVocabulary {
 public:
  // DataError unless there are `size` tokens, all different, UTF-8 and with a type.
  GgufVocabulary(const GgufFile& file, int64_t size);

  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  std::string Token(int64_t id) const { return std::string(tokens_[static_cast<size_t>(id)]); }
  GgufTokenType Type(int64_t id) const { return types_[static_cast<size_t>(id)]; }
  bool Has(std::string_view token) const { return ids_.contains(token); }
  // The id that metadata such as "tokenizer.ggml.bos_token_id" name; DataError if no token has it.
  std::optional<int64_t> Special(const char* name) const;

  const GgufMetadata& metadata() const { return *metadata_; }
  const std::string& path() const { return path_; }

 private:
  const GgufMetadata* metadata_;
  std::string path_;
  std::vector<std::string_view> tokens_;
  std::vector<GgufTokenType> types_;
  std::unordered_map<std::string_view, int64_t> ids_;
};

}  // namespace condense
