// Norms, rotary positions and gates in one pass over the data, for inference in float32 on the CPU.
//
// Composed of LibTorch's operators each of these reads and writes the activations several times,
// which costs a narrow model more than its matrix products leave. Where OnePassApplies() is false
// (gradients, other number types, GPU) the caller composes operators.
#pragma once

#include "tensor/tensor.h"

namespace condense {

// No gradient is being recorded: results may be written over operands that nobody else holds.
bool InPlaceAllowed();
bool OnePassApplies(const Tensor& x);

// x / sqrt(sum(x^2) / divisor + eps) * weight over the last dimension; weight: [width], float32, or
// undefined.
Tensor RmsNormOnePass(const Tensor& x, const Tensor& weight, double divisor, double eps);

// x: [batch, heads, tokens, 2 pairs]; coordinate p turns with p + pairs. cos, sin: [tokens, pairs]
// or [heads or 1, tokens, pairs], float32. The result is laid out as [batch, tokens, heads, 2
// pairs], so that heads can be merged without a copy.
Tensor RotateOnePass(const Tensor& x, const Tensor& cos, const Tensor& sin);

// gate = silu(gate) * up, in place; both contiguous.
void SiluTimesOnePass(const Tensor& gate, const Tensor& up);

}  // namespace condense
