// What a tokenizer_class means for the settings that come with a vocabulary, in transformers 4.57.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace condense {

// Facts about a class of the library and its fast variant, which AutoTokenizer takes.
struct TokenizerClass {
  std::string_view name;  // without "Fast"
  // Tokens that are named unless the settings do: pairs of role ("bos_token") and content,
  // "" for none.
  std::vector<std::pair<const char*, const char*>> roles = {};
  // Further keys of tokenizer_config.json that name special tokens, and what they are by default.
  std::vector<std::pair<const char*, const char*>> additional = {};
  // Ignores the template of tokenizer.json, and goes by add_bos_token and add_eos_token.
  bool replaces_template = false;
  bool adds_bos = false;  // the default of add_bos_token
  // Without add_prefix_space, a lone ByteLevel stays as tokenizer.json has it; else it adds none.
  bool keeps_prefix_space = false;
  // Heeds "legacy" and add_prefix_space when it is made from tokenizer.model; given the latter, it
  // is made from that though tokenizer.json is there.
  bool heeds_spaces = false;
  // Makes special tokens of names, with their flags, though the vocabulary has them already.
  bool makes_tokens_of_names = false;
};

// Null if the class is not known. `name` may end with "Fast".
const TokenizerClass* FindTokenizerClass(std::string_view name);
// The name of the class that transformers takes for a model_type of config.json; empty if unknown.
std::string_view ClassOfModelType(std::string_view model_type);
// The names, for messages.
std::vector<std::string> TokenizerClassNames();

}  // namespace condense
