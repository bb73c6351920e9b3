// The normal equations of a regression, and what a free constant changes in them.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace condense {

// The normal equations of T ~ Y W.
struct Regression {
  Tensor c;                // Y^T Y [p, p]
  Tensor b;                // Y^T T [p, out]
  double target_norm = 0;  // ||T||_F^2; only errors need it
};

// A Gram matrix from which that of a constant was subtracted; `energy` [p] is the sum of squares of
// each channel before. A channel that never moves leaves nothing but rounding there. It gets that
// much on the diagonal and no products with other channels, so that factorisations succeed.
Tensor WithoutRounding(const Tensor& shifted, const Tensor& energy);

// The regression with a free constant: of Y - mean(Y) and T - mean(T).
Regression Centred(const Regression& r, const Tensor& mean_y, const Tensor& mean_t, int64_t tokens);
// Its constant: mean(T) - mean(Y) W. mean_y: of the channels that W reads.
Tensor Intercept(const Tensor& mean_y, const Tensor& mean_t, const Tensor& w);

// Gram matrix of rows x - shift, from the Gram matrix [p, p] and the mean [p] of x over `tokens`
// rows. With shift = mean: the centred Gram matrix. As WithoutRounding().
Tensor ShiftedGram(const Tensor& c, const Tensor& mean, const Tensor& shift, int64_t tokens);

}  // namespace condense
