// The three modules of a block as MoDeGPT compresses them (methods.md 1.2-1.4): adapters between
// the stored tensors of a block and the solvers.
#pragma once

#include "compression/compressor.h"
#include "compression/methods/modegpt/modegpt_options.h"

namespace condense {

struct ModuleInput {
  const ModeGptOptions& options;
  const ModelConfig& model;           // dense
  const Block& dense;                 // the weights to approximate
  const BlockStatistics& statistics;  // of the module's requests
  int64_t layer = 0;
  Random random;
};

// The requests do not depend on the model; some go unused where it has no biases.
StatRequests MlpRequests(const ModeGptOptions& options);
StatRequests QueryKeyRequests(const ModeGptOptions& options);
StatRequests ValueOutputRequests(const ModeGptOptions& options);

// Replace one module of `block`, dense so far, by one of the given width: channels of the MLP, or
// columns of all key/value heads together. At full width the module stays bit for bit.
ModuleReport CompressMlp(const ModuleInput& input, int64_t width, Block& block);
ModuleReport CompressQueryKey(const ModuleInput& input, int64_t width, Block& block);
ModuleReport CompressValueOutput(const ModuleInput& input, int64_t width, Block& block);

// A statistic on the device of the block.
inline Tensor StatisticOf(const ModuleInput& input, const StatRequest& request) {
  return input.statistics.Get(request).to(input.dense.attention.q.weight.device());
}

}  // namespace condense
