#include "data/protocols/protocol_text.h"

namespace condense {

ProtocolText LoadProtocolText(const NamedProtocol& named, const Tokenizer& tokenizer,
                              const DataRoots& roots) {
  if (std::holds_alternative<RollingProtocol>(named.rules)) {
    return RollingFromProtocol(named, tokenizer, roots);
  }
  return EvaluationFromProtocol(named, tokenizer, roots);
}

std::vector<TokenId> IdsOf(const ProtocolText& text) {
  if (const auto* rolling = std::get_if<RollingText>(&text)) return rolling->ids();
  return std::get<EvaluationText>(text).ids;
}

const std::string& CorpusOf(const ProtocolText& text) {
  return std::visit([](const auto& known) -> const std::string& { return known.corpus; }, text);
}

const std::string& SourceOf(const ProtocolText& text) {
  return std::visit([](const auto& known) -> const std::string& { return known.source; }, text);
}

}  // namespace condense
