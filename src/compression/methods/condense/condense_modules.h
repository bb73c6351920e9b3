// The three modules of a block as `condense` compresses them: adapters between the stored tensors
// of a block, the solvers and the refit.
#pragma once

#include <memory>

#include "compression/compressor.h"
#include "compression/methods/condense/condense_options.h"

namespace condense {

struct CondenseContext {
  const TrialOptions& options;
  const ModelConfig& model;  // dense
  int64_t layer = 0;
};

// A module that can be narrowed to any width; what the widths have in common is made once.
class ModuleNarrower {
 public:
  virtual ~ModuleNarrower() = default;
  // Replaces the module in `block`, where it is the one that this was made from. width: channels of
  // the MLP, else columns of all key/value heads. At full width an output matrix is refitted,
  // queries and keys stay as they are.
  virtual ModuleReport Narrow(int64_t width, Block& block) const = 0;
};
using ModuleNarrowerPointer = std::unique_ptr<const ModuleNarrower>;

// Statistics of the dense model that queries and keys are narrowed by.
StatRequests CondenseQueryKeyRequests(const TrialOptions& options, const ModelConfig& model);
// Statistics of values beside the fit.
StatRequests CondenseValueRequests(const TrialOptions& options);

// The arguments must outlive what they make; `block` is the one to be narrowed.
ModuleNarrowerPointer MakeQueryKeyNarrower(const CondenseContext& context,
                                           const BlockStatistics& dense, const Block& block);
// fit: of the output projection on the mix of the values as they are.
ModuleNarrowerPointer MakeValueOutputNarrower(const CondenseContext& context, const TargetFit& fit,
                                              const BlockStatistics& values, const Block& block);
// least: the smallest width that will be asked for.
ModuleNarrowerPointer MakeMlpNarrower(const CondenseContext& context, const TargetFit& fit,
                                      const Block& block, int64_t least);

}  // namespace condense
