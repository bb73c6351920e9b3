// A linear map of a block: one matrix, or a product of two factors; and the norms.
#pragma once

#include <string>

#include "model/model_config.h"
#include "tensor/tensor.h"

namespace condense {

struct Linear {
  Tensor weight;  // [out, in]; undefined when factored
  Tensor a, b;    // factors: [rank, in] and [out, rank]; y = (x a^T) b^T
  Tensor bias;    // [out] or undefined
  Tensor scale;   // [out] or undefined: multiplies the product before the bias

  bool factored() const { return a.defined(); }
  int64_t in() const { return factored() ? a.size(1) : weight.size(1); }
  int64_t out() const { return factored() ? b.size(0) : weight.size(0); }

  // [..., in] -> [..., out]
  Tensor Forward(const Tensor& x) const;
  // The product of the factors, or the matrix itself: [out, in], without scale and bias.
  Tensor Product() const;

  // Calls visit(name, tensor) for every defined tensor, or for every possible one when filling.
  template <class Visitor>
  void ForEachTensor(const std::string& role, Visitor&& visit) {
    visit(role + ".weight", weight);
    visit(role + ".A", a);
    visit(role + ".B", b);
    visit(role + ".bias", bias);
    visit(role + ".scale", scale);
  }
};

struct Norm {
  NormKind kind = NormKind::kRms;
  double eps = 1e-5;
  int64_t divisor = 0;  // kPlainRms
  Tensor weight;        // [width] or undefined
  Tensor bias;          // [width] or undefined

  Tensor Forward(const Tensor& x) const;

  template <class Visitor>
  void ForEachTensor(const std::string& role, Visitor&& visit) {
    visit(role + ".weight", weight);
    visit(role + ".bias", bias);
  }
};

}  // namespace condense
