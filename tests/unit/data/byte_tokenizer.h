// A tokenizer simple enough to work out by hand: a byte is the id 3 + byte, the text "<s>" is BOS,
// and "ab" merges to one id, so that joint and separate encoding differ.
#pragma once

#include <string>
#include <vector>

#include "base/strings.h"
#include "tokenizer/tokenizer.h"

namespace condense {

class ByteTokenizer final : public Tokenizer {
 public:
  static constexpr TokenId kBos = 1, kEos = 2, kAb = 259;

  static TokenId Of(char c) { return 3 + static_cast<unsigned char>(c); }

  std::vector<TokenId> Encode(std::string_view text, SpecialTokens special) const override {
    std::vector<TokenId> ids;
    if (special == SpecialTokens::kAdd && puts_bos) ids.push_back(kBos);
    while (!text.empty()) {
      const bool bos_text = StartsWith(text, "<s>"), merged = StartsWith(text, "ab");
      ids.push_back(bos_text ? kBos : merged ? kAb : Of(text.front()));
      text.remove_prefix(bos_text ? 3 : merged ? 2 : 1);
    }
    return ids;
  }
  std::string Decode(std::span<const TokenId> ids, DecodeOptions) const override {
    std::string text;
    for (const TokenId id : ids) {
      text += id == kBos   ? "<s>"
              : id == kEos ? "</s>"
              : id == kAb  ? "ab"
                           : std::string(1, static_cast<char>(id - 3));
    }
    return text;
  }
  int64_t size() const override { return 260; }
  std::optional<TokenId> bos() const override {
    return has_bos ? std::optional(kBos) : std::nullopt;
  }
  std::optional<TokenId> eos() const override { return kEos; }
  const std::string& digest() const override { return digest_; }

  bool puts_bos = true, has_bos = true;

 private:
  std::string digest_ = "byte-tokenizer";
};

}  // namespace condense
