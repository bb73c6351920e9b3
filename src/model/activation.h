// The elementwise nonlinearities of an MLP.
#pragma once

#include "model/model_config.h"
#include "tensor/tensor.h"

namespace condense {

// x: a tensor that the caller has just made and nobody else holds; overwritten where that is
// allowed.
Tensor Activate(Tensor x, Activation activation);
// The derivative at x.
Tensor ActivationSlope(const Tensor& x, Activation activation);

}  // namespace condense
