// The one place where parameters are counted (methods.md 0.4, protocols.md 6).
#pragma once

#include <cstdint>

#include "model/model_config.h"

namespace condense {

struct ParameterCount {
  // Linear weights of all blocks, with shortcuts and low-rank factors; shared ones count once.
  int64_t block = 0;
  int64_t block_extras = 0;  // biases, norms and scales inside the blocks
  int64_t outside = 0;       // embeddings, final norm, head (a tied matrix once)
  int64_t tied = 0;          // elements of the head counted once because it is tied
  int64_t executed = 0;      // block weights used per token: a shared weight counts each time

  int64_t Total() const { return block + block_extras + outside; }
  int64_t UntiedTotal() const { return Total() + tied; }
};

// Weights of one linear map as it is stored: of the matrix, or of its two factors.
int64_t CountWeights(const LayerConfig& layer, Role role);

ParameterCount CountParameters(const ModelConfig& config);

// Fractions removed, relative to the dense model; negative when a model grew.
struct RealRatios {
  double block = 0;       // block-params
  double block_full = 0;  // with biases, norms and extras
  double total = 0;       // total-params
  double untied = 0;      // untied-params
  double compute = 0;     // block weights executed per token
};

RealRatios RatiosOf(const ModelConfig& compressed);

// Multiply-accumulates of one forward pass over `positions` tokens without a cache (protocols.md
// 5.7): linear maps, shortcuts and the head at every position, and the two products of attention
// without the causal saving.
int64_t CountMacs(const ModelConfig& config, int64_t positions);

// Bytes of keys and values that one token adds to the cache.
int64_t KvBytesPerToken(const ModelConfig& config, int64_t element_bytes);

}  // namespace condense
