// What lies beside the vocabulary: tokenizer_config.json, special_tokens_map.json and
// added_tokens.json.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/components/added_tokens.h"
#include "tokenizer/formats/folder.h"

namespace condense {

struct NamedToken {
  AddedToken token;
  std::string where;  // the place that names it, to begin an error message with
};

struct TokenizerSettings {
  std::string tokenizer_class;  // empty if not named
  std::optional<bool> add_bos_token, add_eos_token, add_prefix_space, legacy;
  // "bos_token", "eos_token", "unk_token", "pad_token", ... and the additional special tokens.
  std::map<std::string, NamedToken> roles;
  std::vector<NamedToken> additional;
  // With ids: added_tokens_decoder and added_tokens.json.
  std::vector<NamedToken> added;
  bool has_config = false;  // tokenizer_config.json or special_tokens_map.json is there
};

// Where tokenizer_config.json and special_tokens_map.json name the same role, the former counts.
TokenizerSettings ReadSettings(TokenizerFolder& folder);

}  // namespace condense
