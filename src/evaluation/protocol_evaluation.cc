#include "evaluation/protocol_evaluation.h"

namespace condense {
namespace {

ProtocolMeasurement Measure(const ModelSource& model, const EvaluationText& text) {
  PerplexityResult result = EvaluatePerplexity(model, text);
  ProtocolMeasurement measured;
  measured.values = {
      {"perplexity", result.perplexity, "", {}, result.bootstrap},
      {"nll", result.mean_nll, "nats", result.standard_error, {}},
      {"tokens", static_cast<double>(result.tokens), "count", {}, {}},
      {"ignored-targets", static_cast<double>(text.ignored_targets), "count", {}, {}},
  };
  measured.series = {{"window_nll", result.window_nll}};
  measured.count = result.windows;
  measured.result = std::move(result);
  return measured;
}

ProtocolMeasurement Measure(const ModelSource& model, const RollingText& text) {
  RollingResult result = EvaluateRolling(model, text);
  ProtocolMeasurement measured;
  measured.values = {
      {"word_perplexity", result.word_perplexity, "", {}, {}},
      {"byte_perplexity", result.byte_perplexity, "", {}, {}},
      {"bits_per_byte", result.bits_per_byte, "bits", {}, {}},
      {"log_likelihood", result.log_likelihood, "nats", {}, {}},
      {"words", static_cast<double>(result.words), "count", {}, {}},
      {"bytes", static_cast<double>(result.bytes), "count", {}, {}},
      {"tokens", static_cast<double>(result.tokens), "count", {}, {}},
      {"max_length", static_cast<double>(result.max_length), "count", {}, {}},
  };
  measured.series = {{"page_log_likelihood", result.page_log_likelihood},
                     {"page_words", result.page_words},
                     {"page_bytes", result.page_bytes},
                     {"page_tokens", result.page_tokens}};
  measured.count = static_cast<int64_t>(text.pages.size());
  measured.result = std::move(result);
  return measured;
}

}  // namespace

ProtocolMeasurement EvaluateProtocol(const ModelSource& model, const ProtocolText& text) {
  ProtocolMeasurement measured =
      std::visit([&](const auto& known) { return Measure(model, known); }, text);
  std::visit(
      [&](const auto& result) {
        measured.ids_sha256 = result.ids_sha256;
        measured.seconds = result.seconds;
      },
      measured.result);
  return measured;
}

std::vector<std::string> ProtocolValueNames() {
  return {
      "perplexity",      "nll",           "tokens",         "ignored-targets", "word_perplexity",
      "byte_perplexity", "bits_per_byte", "log_likelihood", "words",           "bytes",
      "max_length"};
}

}  // namespace condense
