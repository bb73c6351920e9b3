// The elementwise nonlinearities of an MLP.
#pragma once

#include "model/model_config.h"
#include "tensor/tensor.h"

namespace condense {

// Consumes x, which nobody else may hold: it is overwritten where in-place operations are allowed.
Tensor Activate(Tensor x, Activation activation);
// The derivative, elementwise, at x.
Tensor ActivationSlope(const Tensor& x, Activation activation);

}  // namespace condense
