#include "compression/solvers/regression.h"

#include "tensor/linalg.h"

namespace condense {

Regression Centred(const Regression& r, const Tensor& mean_y, const Tensor& mean_t,
                   int64_t tokens) {
  const auto n = static_cast<double>(tokens);
  return {.c = ShiftedGram(r.c, mean_y, mean_y, tokens),
          .b = r.b - n * at::outer(mean_y, mean_t),
          .target_norm = r.target_norm - n * Dot(mean_t, mean_t)};
}

Tensor Intercept(const Tensor& mean_y, const Tensor& mean_t, const Tensor& w) {
  return mean_t - at::matmul(mean_y, w);
}

Tensor ShiftedGram(const Tensor& c, const Tensor& mean, const Tensor& shift, int64_t tokens) {
  // sum (x - s)^T (x - s) = C - N (mean^T s + s^T mean - s^T s)
  const Tensor cross = at::outer(mean, shift);
  return c - static_cast<double>(tokens) * (cross + cross.t() - at::outer(shift, shift));
}

}  // namespace condense
