// Perplexity over windows of a text (protocols.md 1.2; chunks of 1.5).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/protocols/windows.h"
#include "model/model_source.h"
#include "stats/intervals.h"

namespace condense {

struct PerplexityResult {
  double perplexity = 0;  // exp(mean_nll)
  double mean_nll = 0;    // nats per target, mean of window means
  // Of mean_nll, from the spread of window means. Rough, because windows are correlated.
  double standard_error = 0;
  // 95 % interval of the perplexity, by a bootstrap over blocks of neighbouring windows.
  Interval bootstrap;
  int64_t windows = 0, window = 0;
  int64_t tokens = 0;  // ids of the stream, the dropped tail included
  std::vector<double> window_nll;
  std::string ids_sha256;
  double seconds = 0;
};

// A resident model runs batch by batch; a streamed one runs block by block over all windows, so
// that only one block is in memory. ConfigError when a window is longer than the model's positions;
// NumericError, naming the first bad window and the layer where it went wrong, when a loss is not
// finite.
PerplexityResult EvaluatePerplexity(const ModelSource& model, const EvaluationText& text);

}  // namespace condense
