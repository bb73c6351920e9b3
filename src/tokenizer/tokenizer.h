// Text to token ids and back.
//
// One interface for the formats in which checkpoints come: tokenizer.json (byte-level BPE and
// SentencePiece-like BPE), vocab.json + merges.txt, tokenizer.model of SentencePiece and
// tokenizer.model with tiktoken ranks. Ids equal those of the reference tokenizers, id for id.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace condense {

using TokenId = int32_t;

enum class SpecialTokens { kNone, kAdd };  // kAdd: what the tokenizer adds by default, e.g. BOS

struct DecodeOptions {
  bool skip_special = false;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // `text` must be valid UTF-8 (DataError with the byte offset otherwise). Near-linear in its
  // length. Text that spells a special token becomes that token, as in the reference.
  virtual std::vector<TokenId> Encode(std::string_view text, SpecialTokens special) const = 0;
  // Invalid UTF-8 in the result is replaced by U+FFFD as the reference of the kind does.
  // Throws DataError for an id outside the vocabulary.
  virtual std::string Decode(std::span<const TokenId> ids, DecodeOptions options = {}) const = 0;

  // One more than the largest id, added and special tokens included.
  virtual int64_t size() const = 0;
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  // SHA-256 over the files the tokenizer was made from.
  virtual const std::string& digest() const = 0;
};

// Picks the format by the files in the folder: tokenizer.json first, then vocab.json + merges.txt,
// then tokenizer.model (SentencePiece or tiktoken ranks, told apart by content), which comes first
// where a LlamaTokenizer is given add_prefix_space, as in transformers. DataError when
// none is there, one is malformed, or a token that the configuration names is missing from the
// vocabulary.
std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& folder);

}  // namespace condense
