#include "data/text/leading_token.h"

namespace condense {

std::optional<TokenId> LeadingToken(const Tokenizer& tokenizer) {
  const std::vector<TokenId> plain = tokenizer.Encode("a", SpecialTokens::kNone);
  const std::vector<TokenId> full = tokenizer.Encode("a", SpecialTokens::kAdd);
  // A token that is only appended (an end of sequence) leaves the first id as it was.
  if (full.size() <= plain.size() || (!plain.empty() && full.front() == plain.front())) {
    return std::nullopt;
  }
  return full.front();
}

}  // namespace condense
