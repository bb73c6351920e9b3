// The text of a protocol of any family, for callers that treat all families alike.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "data/protocols/rolling_text.h"
#include "data/protocols/windows.h"

namespace condense {

using ProtocolText = std::variant<EvaluationText, RollingText>;

ProtocolText LoadProtocolText(const NamedProtocol& named, const Tokenizer& tokenizer,
                              const DataRoots& roots);
// All ids of the text, to be searched for calibration text.
std::vector<TokenId> IdsOf(const ProtocolText& text);
const std::string& CorpusOf(const ProtocolText& text);
const std::string& SourceOf(const ProtocolText& text);

}  // namespace condense
