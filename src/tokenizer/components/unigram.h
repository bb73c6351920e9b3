// Unigram language model: a word becomes the sequence of tokens whose scores have the largest sum.
//
// Kudo 2018, arXiv:1804.10959, as the library `tokenizers` computes it: among equal sums the one
// whose last token begins earliest, ten below the lowest score for a character without a token, and
// neighbouring unknown characters as one. The search is linear in the length of the word, times
// the length of the longest token.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace condense {

struct UnigramOptions {
  std::optional<TokenId> unknown;
  bool byte_fallback = false;  // unknown characters become their bytes' tokens "<0x41>"
};

class UnigramModel {
 public:
  // `scores`: of the tokens 0, 1, ... of `vocabulary`.
  UnigramModel(const Vocabulary& vocabulary, std::vector<double> scores, UnigramOptions options);

  // Appends the ids of `word` to `ids`. DataError if a character has no token and there is no
  // unknown token.
  void Encode(std::string_view word, std::vector<TokenId>& ids) const;

 private:
  // The best way to cover a word up to some byte.
  struct Path {
    double score = 0;
    size_t begin = 0;  // of its last token
    TokenId id = kUnreached;
  };
  static constexpr TokenId kUnreached = -1;

  void Insert(std::string_view token, TokenId id);
  std::vector<Path> BestPaths(std::string_view word) const;
  void AppendUnknown(std::string_view text, std::vector<TokenId>& ids) const;
  std::optional<TokenId> Find(std::string_view token) const;

  std::vector<double> scores_;
  UnigramOptions options_;
  double unknown_score_ = 0;
  std::array<TokenId, 256> bytes_;  // -1 where there is no token
  // A trie: (node, byte) to node; node 0 is the root.
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<TokenId> ends_;  // of each node: the token that ends there, or -1
};

}  // namespace condense
