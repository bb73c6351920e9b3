// The text of a protocol, of whatever family: for callers that do not care which.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "data/text/rolling_text.h"
#include "data/text/windows.h"

namespace condense {

using ProtocolText = std::variant<EvaluationText, RollingText>;

ProtocolText LoadProtocolText(const NamedProtocol& named, const Tokenizer& tokenizer,
                              const DataRoots& roots);
// All ids that the text is made of, and where they come from: for the search of shared text.
std::vector<TokenId> IdsOf(const ProtocolText& text);
const std::string& CorpusOf(const ProtocolText& text);
const std::string& SourceOf(const ProtocolText& text);

}  // namespace condense
