#include "evaluation/rolling.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include "base/error.h"
#include "base/system.h"
#include "evaluation/scorer.h"

namespace condense {
namespace {

int64_t MaxLengthFor(const RollingText& text, const ModelConfig& config) {
  const int64_t longest = text.max_length.value_or(config.max_positions);
  if (longest <= config.max_positions) return longest;
  throw MakeError<ConfigError>(
      "{}: inputs of {} ids are longer than the {} positions of the model; use a protocol with a "
      "smaller max_length",
      text.source, longest, config.max_positions);
}

}  // namespace

RollingResult EvaluateRolling(const ModelSource& model, const RollingText& text) {
  const Stopwatch watch;
  RollingResult result;
  result.max_length = MaxLengthFor(text, model.config());
  result.ids_sha256 = text.ids_sha256;
  std::vector<EncodedRequest> windows;
  std::vector<size_t> page_of;  // each window's
  for (size_t p = 0; p < text.pages.size(); ++p) {
    const RollingPage& page = text.pages[p];
    for (EncodedRequest& window : RollingWindows(page.ids, text.prefix, result.max_length)) {
      windows.push_back(std::move(window));
      page_of.push_back(p);
    }
    result.page_words.push_back(static_cast<double>(page.words));
    result.page_bytes.push_back(static_cast<double>(page.bytes));
    result.page_tokens.push_back(static_cast<double>(page.ids.size()));
    result.tokens += static_cast<int64_t>(page.ids.size());
  }
  // Windows share no prefixes.
  const std::vector<Score> scores = ScoreRequests(model, windows, {.share_prefixes = false});
  result.page_log_likelihood.assign(text.pages.size(), 0);
  for (size_t w = 0; w < windows.size(); ++w) {
    result.page_log_likelihood[page_of[w]] += scores[w].log_likelihood;
  }
  result.windows = static_cast<int64_t>(windows.size());
  result.words = text.words();
  result.bytes = text.bytes();
  result.log_likelihood =
      std::accumulate(result.page_log_likelihood.begin(), result.page_log_likelihood.end(), 0.0);
  const double nats_per_byte = -result.log_likelihood / static_cast<double>(result.bytes);
  result.word_perplexity = std::exp(-result.log_likelihood / static_cast<double>(result.words));
  result.byte_perplexity = std::exp(nats_per_byte);
  result.bits_per_byte = nats_per_byte / std::numbers::ln2;
  result.seconds = watch.Seconds();
  return result;
}

}  // namespace condense
