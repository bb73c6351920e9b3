#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/one_pass.h"

namespace condense {

namespace {

Tensor Scaled(const LinearRope& scaling, const Tensor& frequencies, double) {
  return frequencies / scaling.factor;
}

Tensor Scaled(const Llama3Rope& scaling, const Tensor& frequencies, double) {
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

Tensor Scaled(const YarnRope& scaling, const Tensor& frequencies, double theta) {
  const int64_t pairs = frequencies.size(0);
  const auto width = static_cast<double>(2 * pairs);
  // The pair, as a real number, that turns so many times within the original length.
  const auto pair_turning = [&](double times) {
    const double length = static_cast<double>(scaling.original_max_positions);
    return width * std::log(length / (times * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double first = pair_turning(scaling.beta_fast), last = pair_turning(scaling.beta_slow);
  if (scaling.truncate) first = std::floor(first), last = std::ceil(last);
  first = std::max(first, 0.0), last = std::min(last, width - 1);
  if (first == last) last += 0.001;
  const Tensor ramp =
      ((at::arange(pairs, frequencies.options()) - first) / (last - first)).clamp(0, 1);
  return frequencies / scaling.factor * ramp + frequencies * (1 - ramp);
}

// What changes with the length is left to StretchedFrequencies().
Tensor Scaled(const DynamicRope&, const Tensor& frequencies, double) { return frequencies; }

}  // namespace

Tensor RopeFrequencies(const RopeConfig& rope, int64_t head_dim) {
  // float32 throughout, as the reference computes them: at long positions the rounding of a
  // frequency shows in the angle.
  const Tensor exponents =
      at::arange(0, head_dim, 2, kI64).to(kF32) / static_cast<double>(head_dim);
  const Tensor frequencies = at::pow(static_cast<float>(rope.theta), exponents).reciprocal();
  if (!rope.scaling) return frequencies;
  return std::visit([&](const auto& scaling) { return Scaled(scaling, frequencies, rope.theta); },
                    *rope.scaling);
}

Tensor RopeFrequencies(const ModelConfig& config, Device device) {
  if (!config.rope) return {};
  return RopeFrequencies(*config.rope, config.head_dim).to(device);
}

std::optional<DynamicRope> StretchOf(const ModelConfig& config) {
  if (!config.rope || !config.rope->scaling) return std::nullopt;
  const auto* dynamic = std::get_if<DynamicRope>(&*config.rope->scaling);
  return dynamic != nullptr ? std::optional(*dynamic) : std::nullopt;
}

Tensor StretchedFrequencies(const Tensor& frequencies, const DynamicRope& stretch, int64_t length) {
  if (length <= stretch.original_max_positions) return frequencies;
  const double growth = stretch.factor * static_cast<double>(length) /
                            static_cast<double>(stretch.original_max_positions) -
                        (stretch.factor - 1);
  // base^(-2p / d) with the base growing by growth^(d / (d - 2)).
  const int64_t pairs = frequencies.size(0);
  const Tensor exponents =
      at::arange(pairs, frequencies.options()) / static_cast<double>(pairs - 1);
  return frequencies / at::pow(growth, exponents);
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
