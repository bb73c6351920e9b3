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
  TokenId id = -1;                   // -1: as in the vocabulary
  bool special = false;              // left out by DecodeOptions::skip_special
  bool normalized = false;           // to be looked for in the normalised text
  bool normalized_if_plain = false;  // not said: only if it is not special
  bool lstrip = false;               // absorbs the white space in front of it
  bool rstrip = false;               // and after it
  bool single_word = false;          // not inside a word
  // Where it is looked for. One that was added more than once may be in both.
  bool in_raw_text = false, in_normalized_text = false;
};

// Whether all flags but `special` agree.
bool HaveSameFlags(const AddedToken& a, const AddedToken& b);

struct NamedToken {
  AddedToken token;
  std::string where;  // the place that names it, to begin an error message with
  // Flags are given with the name: they replace those of a token that is there already.
  bool has_flags = false;
  // Of a name: a file gives it, not the class. Of an added token: such names take its flags.
  bool from_file = false;
  bool is_config_object = false;  // has flags, in tokenizer_config.json
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
