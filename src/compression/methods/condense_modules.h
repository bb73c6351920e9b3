// The three modules of a block as `condense` compresses them: adapters between the stored tensors
// of a block, the solvers and the refit.
#pragma once

#include "compression/compressor.h"
#include "compression/methods/condense_options.h"

namespace condense {

struct CondenseContext {
  const CondenseOptions& options;
  const ModelConfig& model;  // dense
  int64_t layer = 0;
};

// Statistics of the dense model that queries and keys are narrowed by.
StatRequests CondenseQueryKeyRequests(const CondenseOptions& options);
// Statistics of values beside the fit.
StatRequests CondenseValueRequests(const CondenseOptions& options);
// Statistics of the dense model from which DenseFit() makes the fits of the other two.
StatRequests CondenseFitRequests(Module module);

// Whether the fit of a consumer has an intercept: where it ends up with a bias. A narrowed value
// head passes its bias on.
bool HasIntercept(Module module, const Block& block, bool narrows);

// Replace one module of `block`, as wide as in the dense model so far, by one of the given width.
// At full width queries and keys stay as they are, the output matrices are refitted.
ModuleReport NarrowQueryKey(const CondenseContext& context, const BlockStatistics& dense,
                            int64_t width, Block& block);
// fit: of the output projection on the mix of the values as they are.
ModuleReport FitValueOutput(const CondenseContext& context, const TargetFit& fit,
                            const BlockStatistics& values, int64_t width, Block& block);
ModuleReport FitMlp(const CondenseContext& context, const TargetFit& fit, int64_t width,
                    Block& block);

}  // namespace condense
