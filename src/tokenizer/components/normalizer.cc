#include "tokenizer/components/normalizer.h"

#include "base/error.h"
#include "base/strings.h"

namespace condense {

Normalizer& Normalizer::Prepend(std::string text) {
  steps_.push_back({Pattern::Literal(""), std::move(text), true});
  return *this;
}

Normalizer& Normalizer::Replace(Pattern pattern, std::string content) {
  steps_.push_back({std::move(pattern), std::move(content), false});
  return *this;
}

std::string Normalizer::Apply(std::string_view text) const {
  std::string result(text);
  for (const Step& step : steps_) {
    if (!step.prepends) {
      result = ReplaceAll(result, step.pattern, step.content);
    } else if (!result.empty()) {
      result.insert(0, step.content);
    }
  }
  return result;
}

Pattern ReadPattern(const JsonNode& node) {
  if (const auto literal = node.Find("String")) {
    std::string text = literal->String();
    if (text.empty()) throw MakeError<DataError>("{}: the pattern is empty", literal->where());
    return Pattern::Literal(std::move(text));
  }
  const auto regex = node.Find("Regex");
  if (!regex) throw MakeError<DataError>("{}: expected \"String\" or \"Regex\"", node.where());
  return Pattern::Regex(regex->String(), regex->where());
}

namespace {

void AddSteps(const JsonNode& node, Normalizer& normalizer) {
  const std::string type = node.At("type").String();
  if (type == "Sequence") {
    for (const JsonNode& step : node.At("normalizers").Elements()) AddSteps(step, normalizer);
  } else if (type == "Prepend") {
    normalizer.Prepend(node.At("prepend").String());
  } else if (type == "Replace") {
    normalizer.Replace(ReadPattern(node.At("pattern")), node.At("content").String());
  } else {
    throw MakeError<DataError>("{}: unsupported normalizer '{}'{}", node.where(), type,
                               SuggestName(type, {"Sequence", "Prepend", "Replace"}));
  }
}

}  // namespace

Normalizer ReadNormalizer(const JsonNode& node) {
  Normalizer normalizer;
  AddSteps(node, normalizer);
  return normalizer;
}

}  // namespace condense
