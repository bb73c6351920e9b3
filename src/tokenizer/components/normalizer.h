// Changes to a text before it is split: the steps of tokenizer.json, but for those of BERT and the
// compiled maps of SentencePiece.
//
// Unicode's normal forms and properties are those that the library `tokenizers` has, whose tables
// are of Unicode 9: characters that came later are not decomposed, composed or reordered.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/components/pattern.h"
#include "tokenizer/json_file.h"

namespace condense {

struct NormalizedText {
  std::string text;
  // The bytes at its beginning that come from the first character of the original. Metaspace with
  // the scheme "first" asks for them.
  size_t from_first = 0;
};

class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  virtual void Apply(NormalizedText& text) const = 0;
};

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

class Normalizer {
 public:
  Normalizer& Prepend(std::string text);  // to a text that is not empty
  Normalizer& Replace(Pattern pattern, std::string content);
  Normalizer& Unicode(NormalForm form);
  Normalizer& Lowercase();  // character by character: a capital sigma becomes U+03C3 everywhere
  Normalizer& StripSpace(bool left, bool right);
  Normalizer& StripAccents();

  bool IsIdentity() const { return steps_.empty(); }
  NormalizedText Normalize(std::string_view text) const;
  std::string Apply(std::string_view text) const { return Normalize(text).text; }

 private:
  Normalizer& Add(std::unique_ptr<NormalizerStep> step);
  std::vector<std::unique_ptr<NormalizerStep>> steps_;
};

// Reads the "normalizer" of a tokenizer.json. DataError for a type that is not known.
Normalizer ReadNormalizer(const JsonNode& node);
// {"String": "..."} or {"Regex": "..."}
Pattern ReadPattern(const JsonNode& node);

}  // namespace condense
