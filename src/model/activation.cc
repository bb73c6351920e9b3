#include "model/activation.h"

#include "kernels/one_pass.h"

namespace condense {

Tensor Activate(Tensor x, Activation activation) {
  const bool in_place = InPlaceAllowed();
  switch (activation) {
    case Activation::kSilu:
      return in_place ? at::silu_(x) : at::silu(x);
    case Activation::kRelu:
      return in_place ? at::relu_(x) : at::relu(x);
    case Activation::kGelu:
      return in_place ? at::gelu_(x) : at::gelu(x);
    case Activation::kGeluTanh:
      return in_place ? at::gelu_(x, "tanh") : at::gelu(x, "tanh");
  }
  return x;
}

Tensor ActivationSlope(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu_backward(at::ones_like(x), x);
    case Activation::kRelu:
      return (x > 0).to(x.scalar_type());
    case Activation::kGelu:
      return at::gelu_backward(at::ones_like(x), x);
    case Activation::kGeluTanh:
      return at::gelu_backward(at::ones_like(x), x, "tanh");
  }
  return at::ones_like(x);
}

}  // namespace condense
