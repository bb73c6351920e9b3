// The settings that come with a vocabulary: tokenizer_config.json, special_tokens_map.json and
// added_tokens.json, as AutoTokenizer of transformers 4.57 resolves them.
//
// Where tokenizer_config.json has added_tokens_decoder, the other two are not heeded; else what
// special_tokens_map.json names comes before what tokenizer_config.json names. A class that
// tokenizer_config.json does not name is that of config.json. Unlike there, a folder with neither
// tokenizer_config.json nor special_tokens_map.json has no class: its files are taken as they stand.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tokenizer/components/added_tokens.h"
#include "tokenizer/components/pipeline.h"
#include "tokenizer/formats/folder.h"
#include "tokenizer/formats/tokenizer_class.h"

namespace condense {

// Their order is that in which tokens outside the vocabulary get ids.
inline constexpr const char* kTokenRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                              "pad_token", "cls_token", "mask_token"};

struct TokenizerSettings {
  std::string class_name;          // as the files have it; empty if not named
  std::string implied_class_name;  // what transformers would take where there are no settings
  const TokenizerClass* known_class = nullptr;  // null: none is named, or one that is not known
  std::optional<bool> add_bos_token, add_eos_token;  // null is false
  std::optional<bool> add_prefix_space, legacy;
  bool prefix_space_is_null = false;   // add_prefix_space is there, and null
  bool cleans_up_spaces = false;       // clean_up_tokenization_spaces
  bool splits_special_tokens = false;  // split_special_tokens
  // "bos_token", "eos_token", "unk_token", "pad_token", ..., those of the class among them.
  std::map<std::string, NamedToken> roles;
  std::set<std::string> unnamed;       // roles that are null or "": not named by the class either
  std::set<std::string> empty_names;   // those that are ""
  std::vector<NamedToken> additional;  // special tokens without a role
  std::vector<NamedToken> added;       // of added_tokens_decoder or added_tokens.json, by id
  bool has_decoder = false;            // tokenizer_config.json has added_tokens_decoder
  bool has_config = false;             // tokenizer_config.json or special_tokens_map.json is there
};

TokenizerSettings ReadSettings(TokenizerFolder& folder);

// Where there is no added_tokens_decoder, the added tokens of tokenizer.json take its place. Those
// of added_tokens.json stay, but for ids that both have.
void TakeAddedTokens(std::vector<NamedToken> tokens, TokenizerSettings& settings);

// Roles whose names are given without flags get them: special, and `normalized`. So do the classes
// that are made from older files (tokenizer.model, vocab.json).
void MakeTokensOfNames(const std::vector<const char*>& roles, bool normalized,
                       TokenizerSettings& settings);

// Adds the tokens that the settings list and name; those that the vocabulary lacks get the next
// ids. Sets BOS and EOS, how texts are decoded, and what is put in front of a text and after it.
void ApplySettings(const TokenizerSettings& settings, PipelineParts& parts);

}  // namespace condense
