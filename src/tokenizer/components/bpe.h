// Byte-pair encoding: a word becomes symbols, and the neighbouring pair of the best rank is joined
// until no pair can be joined.
//
// Sennrich et al. 2016, in the variants of the reference tokenizers: symbols are bytes (GPT-2,
// LLaMA-3) or characters with a fall-back to byte tokens (SentencePiece, LLaMA-2). Joining takes
// O(n log n) for a word of n symbols, as a LLaMA-2 text is a single word. Does not split text into
// words (pre_tokenizer.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace condense {

struct BpeMerge {
  TokenId left = 0, right = 0, result = 0;
  uint32_t rank = 0;  // the lowest is joined first; among equals, the leftmost
};

struct BpeOptions {
  bool byte_level = false;     // symbols are bytes, tokens are written in the alphabet of GPT-2
  bool byte_fallback = false;  // an unknown character becomes its bytes' tokens "<0x41>"
  bool ignore_merges = false;  // a word that is a token is not split
  bool fuse_unknown = false;   // neighbouring unknown characters become one token
  // Without it, a character or byte that has no token is left out, as in the reference.
  std::optional<TokenId> unknown;
};

class BpeModel {
 public:
  // A pair that occurs twice in `merges` counts with its last entry.
  BpeModel(const Vocabulary& vocabulary, const std::vector<BpeMerge>& merges, BpeOptions options);

 private:
  friend class BpeEncoder;

  struct Join {
    TokenId result = -1;
    uint32_t rank = 0;
  };
  // Pairs of ids to joins; open addressing, because this look-up is most of the work.
  class JoinTable {
   public:
    explicit JoinTable(const std::vector<BpeMerge>& merges);
    const Join* Find(TokenId left, TokenId right) const;

   private:
    struct Slot {
      uint64_t key;
      Join join;
    };
    size_t FirstSlot(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u) >> shift_; }
    std::vector<Slot> slots_;
    int shift_ = 0;
  };

  void IndexBytes(const Vocabulary& vocabulary);
  void IndexCharacters(const Vocabulary& vocabulary);
  bool WordsEndBeforeSpaceMarks(const Vocabulary& vocabulary,
                                const std::vector<BpeMerge>& merges) const;

  BpeOptions options_;
  JoinTable joins_;
  std::array<TokenId, 256> bytes_;  // -1 where there is no token
  std::unordered_map<char32_t, TokenId> characters_;
  StringMap<TokenId> whole_words_;  // filled if ignore_merges
  // No token has U+2581 after another character, so a long word may be cut in front of it.
  bool cut_before_space_marks_ = false;
};

// Encodes the words of one text. Caches words, because most are repeated.
class BpeEncoder {
 public:
  // Appends to `out`; both must outlive the encoder.
  BpeEncoder(const BpeModel& model, std::vector<TokenId>& out) : model_(model), out_(out) {}

  // The word's bytes must stay where they are for the life of the encoder.
  void Append(std::string_view word);

 private:
  struct Symbol {
    TokenId id;
    uint32_t previous, next;
  };
  struct Candidate {
    uint32_t rank, position;
    TokenId left, right;
    bool operator<(const Candidate& other) const {  // the best is the largest, as heaps want it
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  struct Span {
    size_t begin, count;
  };

  void AppendCached(std::string_view word);
  void AppendMerged(std::string_view word);
  void AddSymbol(TokenId id);
  void SplitBytes(std::string_view word);
  void SplitCharacters(std::string_view word);
  bool AddByteTokens(std::string_view character);
  void AddUnknown();
  void Consider(uint32_t position);
  void JoinAll();

  const BpeModel& model_;
  std::vector<TokenId>& out_;
  std::unordered_map<std::string_view, Span> seen_;  // where the word's ids lie in out_
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
  bool last_was_unknown_ = false;
};

}  // namespace condense
