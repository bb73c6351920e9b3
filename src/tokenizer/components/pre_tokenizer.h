// Splits a text into the words that the model encodes one by one: the steps of tokenizer.json,
// but for those of BERT (BertPreTokenizer, UnicodeScripts and the like).
//
// ByteLevel as the last step leaves the bytes as they are, because a byte-level BpeModel takes
// bytes. Before another step it rewrites them in the alphabet of GPT-2.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/components/pattern.h"
#include "tokenizer/json_file.h"

namespace condense {

struct Word {
  std::string_view text;
  bool starts_text = false;  // at the beginning of the text
};

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  // Text that a step changes is kept in `storage`.
  virtual void Apply(std::vector<Word>& words, std::deque<std::string>& storage) const = 0;
};

// What a separator becomes: a word of its own, nothing, the end of the word before it, the
// beginning of the word after it; kContiguous: neighbouring separators are one word.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitRule {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // the pattern describes the words, not what separates them
};

enum class PrependScheme { kAlways, kFirst, kNever };

struct MetaspaceRule {
  std::string replacement = "\u2581";
  PrependScheme prepend = PrependScheme::kAlways;
  bool split = true;
};

class PreTokenizer {
 public:
  PreTokenizer& Split(SplitRule rule);
  PreTokenizer& ByteLevel(bool add_prefix_space, bool split_like_gpt2);
  PreTokenizer& Metaspace(MetaspaceRule rule);
  // Rewrites the bytes here if the last step was ByteLevel: for models that do not take bytes.
  PreTokenizer& SpellBytes();

  // The words are bytes that stand for characters of GPT-2's alphabet.
  bool byte_level() const { return byte_level_; }
  void Apply(std::vector<Word>& words, std::deque<std::string>& storage) const;

 private:
  PreTokenizer& Add(std::unique_ptr<PreTokenizerStep> step);

  std::vector<std::unique_ptr<PreTokenizerStep>> steps_;
  bool byte_level_ = false;
};

// Reads the "pre_tokenizer" of a tokenizer.json. DataError for a type that is not known.
// `lone_prefix_space` replaces add_prefix_space of a ByteLevel that is the only step.
PreTokenizer ReadPreTokenizer(const JsonNode& node, std::optional<bool> lone_prefix_space = {});
// The fields that the pre-tokenizer and the decoder of this name share.
MetaspaceRule ReadMetaspace(const JsonNode& node);

}  // namespace condense
