// Tokens that are found in a text as they are spelled, before anything else is done with it.
//
// Special tokens (<s>, <|begin_of_text|>) and others that were added to a finished vocabulary. The
// rules (longest at the leftmost place; lstrip, rstrip, single_word, normalized) are those of the
// library `tokenizers`, AddedVocabulary.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/json_file.h"
#include "tokenizer/tokenizer.h"

namespace condense {

struct AddedToken {
  std::string content;
  TokenId id = -1;           // -1: as in the vocabulary
  bool special = false;      // left out by DecodeOptions::skip_special
  bool normalized = false;   // looked for in the normalised text
  bool lstrip = false;       // absorbs the white space in front of it
  bool rstrip = false;       // and after it
  bool single_word = false;  // not inside a word
};

struct NamedToken {
  AddedToken token;
  std::string where;  // the place that names it, to begin an error message with
  // lstrip, rstrip and single_word replace those of a token that is there already.
  bool sets_flags = false;
};

// Reads an element of "added_tokens" or "added_tokens_decoder", or an object {"content": ...}. The
// id is not read.
AddedToken ReadAddedToken(const JsonNode& node);

// A part of a text: an added token, or text between them (id < 0).
struct TextSegment {
  std::string_view text;
  TokenId id = -1;
};

// Finds a set of added tokens in texts.
class AddedTokenMatcher {
 public:
  // `spelling` says how a token is written in the texts to be searched.
  AddedTokenMatcher(const std::vector<AddedToken>& tokens,
                    const std::function<std::string(const AddedToken&)>& spelling);

  bool empty() const { return tokens_.empty(); }
  std::vector<TextSegment> Split(std::string_view text) const;

 private:
  struct Match {
    size_t begin, end;
    const AddedToken* token;
  };
  void Insert(std::string_view spelling, size_t token);
  // The first match at or after `position`; its token is null if there is none.
  Match Find(std::string_view text, size_t position) const;

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> first_bytes_{};
  // A trie: (node, byte) to node; node 0 is the root.
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<int64_t> ends_;  // of each node: the token that ends there, or -1
};

}  // namespace condense
