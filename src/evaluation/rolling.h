// Word perplexity of pages; every id is scored (protocols.md 1.4).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/protocols/rolling_text.h"
#include "model/model_source.h"

namespace condense {

struct RollingResult {
  double word_perplexity = 0;  // exp(-log-likelihood / words of the original text)
  double byte_perplexity = 0, bits_per_byte = 0;
  double log_likelihood = 0;  // nats, of all ids
  int64_t words = 0, bytes = 0, tokens = 0, windows = 0;
  int64_t max_length = 0;                                   // ids in one input
  std::vector<double> page_log_likelihood;                  // in the order of the pages
  std::vector<double> page_words, page_bytes, page_tokens;  // whole numbers
  std::string ids_sha256;
  double seconds = 0;
};

// ConfigError when the protocol's inputs are longer than the model's positions; NumericError when a
// score is not finite.
RollingResult EvaluateRolling(const ModelSource& model, const RollingText& text);

}  // namespace condense
