// Rotary position embedding in the half-split layout: coordinate p turns with p + f at frequency p.
#pragma once

#include <optional>

#include "model/model_config.h"
#include "tensor/tensor.h"

namespace condense {

// Frequencies of all pairs of the dense head, scaled as the config asks; those of DynamicRope are
// those of sequences up to its original length: [head_dim / 2] float32.
Tensor RopeFrequencies(const RopeConfig& rope, int64_t head_dim);
// Those of a model, on `device`; undefined if it has no rotary positions.
Tensor RopeFrequencies(const ModelConfig& config, Device device);

// Set where the frequencies depend on the length of the sequence.
std::optional<DynamicRope> StretchOf(const ModelConfig& config);
// The frequencies, [pairs], for sequences of `length` tokens: the base is multiplied by
// (factor length / original - (factor - 1))^(d / (d - 2)), where d = 2 pairs.
Tensor StretchedFrequencies(const Tensor& frequencies, const DynamicRope& stretch, int64_t length);

struct RopeTable {
  Tensor cos, sin;  // [tokens, pairs]
};
// Cosines and sines for positions first ... first + tokens - 1.
RopeTable MakeRopeTable(const Tensor& frequencies, int64_t first, int64_t tokens, DType dtype);

// x: [batch, heads, tokens, 2 pairs]; cos and sin broadcast to [batch, heads, tokens, pairs].
Tensor ApplyRope(const Tensor& x, const Tensor& cos, const Tensor& sin);

}  // namespace condense
