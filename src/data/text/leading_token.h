// The special token that a tokenizer puts in front of a text by default: <s> of LLaMA-1/2,
// <|begin_of_text|> of LLaMA-3, </s> of OPT.
#pragma once

#include <optional>

#include "tokenizer/tokenizer.h"

namespace condense {

// nullopt for a tokenizer that puts none there.
std::optional<TokenId> LeadingToken(const Tokenizer& tokenizer);

}  // namespace condense
