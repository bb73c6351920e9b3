// The merge list of tokenizer.json and merges.txt: pairs of tokens, in the order of their ranks.
#pragma once

#include <string_view>
#include <vector>

#include "tokenizer/components/bpe.h"

namespace condense {

class MergeReader {
 public:
  explicit MergeReader(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  // DataError, beginning with `file` and the number of the merge, if the vocabulary lacks one of
  // the tokens or their concatenation.
  void Add(std::string_view left, std::string_view right, std::string_view file);
  // "left right"
  void AddLine(std::string_view line, std::string_view file);

  const std::vector<BpeMerge>& merges() const { return merges_; }

 private:
  TokenId Find(std::string_view token, std::string_view file) const;

  const Vocabulary& vocabulary_;
  std::vector<BpeMerge> merges_;
};

}  // namespace condense
