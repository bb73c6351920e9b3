// The settings that come with a vocabulary: tokenizer_config.json, special_tokens_map.json and
// added_tokens.json.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/components/added_tokens.h"
#include "tokenizer/components/pipeline.h"
#include "tokenizer/formats/folder.h"

namespace condense {

struct TokenizerSettings {
  std::string tokenizer_class;  // empty if not named
  std::optional<bool> add_bos_token, add_eos_token, add_prefix_space, legacy;
  // Replaces add_prefix_space of a tokenizer.json whose pre-tokenizer is ByteLevel alone. Classes
  // other than LlamaTokenizer take a key that is absent for false; null leaves the file's.
  std::optional<bool> byte_level_prefix_space;
  // "bos_token", "eos_token", "unk_token", "pad_token", ... and the additional special tokens.
  std::map<std::string, NamedToken> roles;
  std::vector<NamedToken> additional;
  // With ids: added_tokens_decoder and added_tokens.json.
  std::vector<NamedToken> added;
  bool has_config = false;  // tokenizer_config.json or special_tokens_map.json is there
  // The class ignores the template of tokenizer.json and goes by add_bos_token and add_eos_token.
  bool replaces_template = false;
};

// Where tokenizer_config.json and special_tokens_map.json name the same role, the former wins.
TokenizerSettings ReadSettings(TokenizerFolder& folder);

// What the class that is named makes of the settings of a tokenizer.json, in transformers 4.57.
// LlamaTokenizer and others put BOS in front unless they are told not to, and it is <s> if none is
// named; PreTrainedTokenizerFast and others do not heed add_bos_token and add_eos_token.
void ResolveClass(const Vocabulary& vocabulary, TokenizerSettings& settings);

// Adds the tokens that the settings list and name, sets BOS and EOS, and puts them into prefix and
// suffix as add_bos_token and add_eos_token say.
void ApplySettings(const TokenizerSettings& settings, PipelineParts& parts);

}  // namespace condense
