// Changes to a text before it is split: the steps Prepend and Replace of tokenizer.json.
//
// Unicode normalisation forms and case folding are refused by the reader, not ignored.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/components/pattern.h"
#include "tokenizer/json_file.h"

namespace condense {

class Normalizer {
 public:
  Normalizer& Prepend(std::string text);
  Normalizer& Replace(Pattern pattern, std::string content);

  bool IsIdentity() const { return steps_.empty(); }
  std::string Apply(std::string_view text) const;

 private:
  struct Step {
    Pattern pattern;  // of a replacement
    std::string content;
    bool prepends = false;
  };
  std::vector<Step> steps_;
};

// Reads the "normalizer" of a tokenizer.json. DataError for a type that is not known.
Normalizer ReadNormalizer(const JsonNode& node);
// {"String": "..."} or {"Regex": "..."}
Pattern ReadPattern(const JsonNode& node);

}  // namespace condense
