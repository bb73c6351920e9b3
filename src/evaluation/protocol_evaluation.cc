#include "evaluation/protocol_evaluation.h"

namespace condense {
namespace {

using Kind = Metric::Kind;
using Style = NumberFormat::Style;

const Metric& Perplexity(const char* name, const char* label, const char* series = "") {
  return RegisterMetric({.name = name,
                         .format = {Style::kFixed, 2, /*huge_is_capped=*/true},
                         .better = Better::kLower,
                         .label = label,
                         .series = series,
                         .kind = Kind::kTextPerplexity});
}
const Metric& Count(const char* name, const char* label) {
  return RegisterMetric({.name = name, .unit = "count", .label = label});
}

// Of windows.
const Metric& kPerplexity = Perplexity("perplexity", "perplexity", "window_nll");
const Metric& kLoss = RegisterMetric({.name = "nll",
                                      .unit = "nats",
                                      .format = {Style::kFixed, 4},
                                      .better = Better::kLower,
                                      .label = "loss per token",
                                      .series = "window_nll"});
const Metric& kTokens = Count("tokens", "tokens");
const Metric& kIgnoredTargets = Count("ignored-targets", "ignored targets");

// Of pages. Pages differ in length, so no mean of their values is a value here.
const Metric& kWordPerplexity = Perplexity("word_perplexity", "perplexity per word");
const Metric& kBytePerplexity = Perplexity("byte_perplexity", "perplexity per byte");
const Metric& kBitsPerByte = RegisterMetric({.name = "bits_per_byte",
                                             .unit = "bits",
                                             .label = "loss per byte",
                                             .kind = Kind::kTextPerplexity});
const Metric& kLogLikelihood =
    RegisterMetric({.name = "log_likelihood", .unit = "nats", .label = "log-likelihood"});
const Metric& kWords = Count("words", "words");
const Metric& kBytes = Count("bytes", "bytes of text");
const Metric& kMaxLength = Count("max_length", "tokens per forward pass at most");

ProtocolMeasurement Measure(const ModelSource& model, const EvaluationText& text) {
  PerplexityResult result = EvaluatePerplexity(model, text);
  ProtocolMeasurement measured;
  measured.values = {
      {&kPerplexity, result.perplexity, {}, result.bootstrap},
      {&kLoss, result.mean_nll, result.standard_error, {}},
      {&kTokens, static_cast<double>(result.tokens), {}, {}},
      {&kIgnoredTargets, static_cast<double>(text.ignored_targets), {}, {}},
  };
  measured.series = {{kPerplexity.series, result.window_nll}};
  measured.count = result.windows;
  measured.result = std::move(result);
  return measured;
}

ProtocolMeasurement Measure(const ModelSource& model, const RollingText& text) {
  RollingResult result = EvaluateRolling(model, text);
  ProtocolMeasurement measured;
  measured.values = {
      {&kWordPerplexity, result.word_perplexity, {}, {}},
      {&kBytePerplexity, result.byte_perplexity, {}, {}},
      {&kBitsPerByte, result.bits_per_byte, {}, {}},
      {&kLogLikelihood, result.log_likelihood, {}, {}},
      {&kWords, static_cast<double>(result.words), {}, {}},
      {&kBytes, static_cast<double>(result.bytes), {}, {}},
      {&kTokens, static_cast<double>(result.tokens), {}, {}},
      {&kMaxLength, static_cast<double>(result.max_length), {}, {}},
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

}  // namespace condense
