// How GPT-like tokenizers of GGUF files cut texts into words, by the name in tokenizer.ggml.pre: that
// of a model, whose tokenizer.json says so.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace condense {

struct GgufPreTokenizer {
  std::string_view name;
  std::vector<const char*> patterns = {};  // what they match is cut out, one after the other
  bool single_digits = false;              // then every digit is a word
  bool gpt2_words = false;                 // then GPT-2's own pattern is applied
  bool nfc = false;                        // the text is brought into the normal form C first
  bool ignore_merges = false;              // a word that is a token is not put together from merges
  bool adds_bos = false;                   // unless the file says otherwise
};

// Null for a name that is not known.
const GgufPreTokenizer* FindGgufPreTokenizer(std::string_view name);
std::vector<std::string> GgufPreTokenizerNames();

// The "pre_tokenizer" of a tokenizer.json.
nlohmann::json PreTokenizerJson(const GgufPreTokenizer& pre);
// A ByteLevel of tokenizer.json that adds no space.
nlohmann::json ByteLevelJson(bool use_regex);

}  // namespace condense
