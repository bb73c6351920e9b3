#include "compression/solvers/regression.h"

#include "tensor/linalg.h"

namespace condense {
namespace {

// What is left of the energy of a channel, at most, when it is a constant: rounding of sums in
// float64, and of activations in float32, which vary by 1e-7.
constexpr double kRounding = 1e-12;

}  // namespace

Tensor WithoutRounding(const Tensor& shifted, const Tensor& energy) {
  const Tensor constant = shifted.diagonal() <= kRounding * energy;  // [p]
  if (!constant.any().item<bool>()) return shifted;
  const Tensor moves = constant.logical_not();
  const Tensor left = at::where(at::logical_and(moves.unsqueeze(0), moves.unsqueeze(1)), shifted,
                                at::zeros_like(shifted));
  return left + at::diag(at::where(constant, kRounding * energy, at::zeros_like(energy)));
}

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
  const Tensor shifted =
      c - static_cast<double>(tokens) * (cross + cross.t() - at::outer(shift, shift));
  return WithoutRounding(shifted, c.diagonal() + static_cast<double>(tokens) * shift.square());
}

}  // namespace condense
