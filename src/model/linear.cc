#include "model/linear.h"

#include "kernels/one_pass.h"

namespace condense {

const char* PartName(LinearPart part) {
  switch (part) {
    case LinearPart::kWeight:
      return "weight";
    case LinearPart::kA:
      return "A";
    case LinearPart::kB:
      return "B";
    case LinearPart::kBias:
      return "bias";
    case LinearPart::kScale:
      return "scale";
  }
  return "?";
}

std::optional<LinearTensor> LinearTensorNamed(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto role = RoleNamed(name.substr(0, dot));
  if (!role) return std::nullopt;
  for (const LinearPart part : {LinearPart::kWeight, LinearPart::kA, LinearPart::kB,
                                LinearPart::kBias, LinearPart::kScale}) {
    if (name.substr(dot + 1) == PartName(part)) return LinearTensor{*role, part};
  }
  return std::nullopt;
}

Tensor Linear::Forward(const Tensor& x) const {
  if (scale.defined()) {
    Tensor y = (factored() ? at::linear(at::linear(x, a), b) : at::linear(x, weight)) * scale;
    return bias.defined() ? y + bias : y;
  }
  return factored() ? at::linear(at::linear(x, a), b, bias) : at::linear(x, weight, bias);
}

Tensor Linear::Product() const { return factored() ? at::matmul(b, a) : weight; }

Tensor Norm::Forward(const Tensor& x) const {
  if (kind == NormKind::kLayer) return at::layer_norm(x, {x.size(-1)}, weight, bias, eps);
  const double count = static_cast<double>(kind == NormKind::kPlainRms ? divisor : x.size(-1));
  if (OnePassApplies(x)) return RmsNormOnePass(x, weight, count, eps);
  // The mean square is taken in float32 whatever the dtype of the stream, as the reference does.
  const Tensor wide = x.scalar_type() == kF64 ? x : x.to(kF32);
  const Tensor sum = wide.square().sum(-1, /*keepdim=*/true);
  const Tensor normed = (wide * (sum / count + eps).rsqrt()).to(x.scalar_type());
  return weight.defined() ? normed * weight : normed;
}

}  // namespace condense
