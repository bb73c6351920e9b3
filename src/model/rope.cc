#include "model/rope.h"

#include <cmath>
#include <numbers>

#include "kernels/one_pass.h"

namespace condense {

Tensor RopeFrequencies(const RopeConfig& rope, int64_t head_dim) {
  // float32 throughout, as the reference computes them: at long positions the rounding of a
  // frequency shows in the angle.
  const Tensor exponents =
      at::arange(0, head_dim, 2, kI64).to(kF32) / static_cast<double>(head_dim);
  const Tensor frequencies = at::pow(static_cast<float>(rope.theta), exponents).reciprocal();
  if (!rope.scaling) return frequencies;

  const RopeScaling& scaling = *rope.scaling;
  const auto length = static_cast<double>(scaling.original_max_positions);
  const Tensor wavelengths = 2 * std::numbers::pi / frequencies;
  const Tensor smooth = (length / wavelengths - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  const Tensor slowed = frequencies / scaling.factor;
  const Tensor blended = (1 - smooth) * slowed + smooth * frequencies;
  const Tensor is_long = wavelengths > length / scaling.low_freq_factor;
  const Tensor is_short = wavelengths < length / scaling.high_freq_factor;
  return at::where(is_long, slowed, at::where(is_short, frequencies, blended));
}

Tensor RopeFrequencies(const ModelConfig& config, Device device) {
  if (!config.rope) return {};
  return RopeFrequencies(*config.rope, config.head_dim).to(device);
}

RopeTable MakeRopeTable(const Tensor& frequencies, int64_t first, int64_t tokens, DType dtype) {
  const Tensor positions = at::arange(first, first + tokens, frequencies.options());
  const Tensor angles = at::outer(positions, frequencies);  // [tokens, pairs]
  return {angles.cos().to(dtype), angles.sin().to(dtype)};
}

Tensor ApplyRope(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  if (OnePassApplies(x) && cos.dim() <= 3) return RotateOnePass(x, cos, sin);
  const auto halves = x.chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
}

}  // namespace condense
