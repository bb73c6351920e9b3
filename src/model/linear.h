// A linear map of a block: one matrix, or a product of two factors; and the norms.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/model_config.h"
#include "model/role.h"
#include "tensor/tensor.h"

namespace condense {

// The tensors that a linear map can have, and their names: "weight", "A", "B", "bias", "scale".
enum class LinearPart { kWeight, kA, kB, kBias, kScale };
const char* PartName(LinearPart part);

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

  // Calls visit(name, tensor) for every tensor that a map can have, such as "attention.q.weight";
  // undefined ones are empty, to be skipped or filled.
  template <class Visitor>
  void ForEachTensor(Role role, Visitor&& visit) {
    const auto name = [&](LinearPart part) {
      return std::string(RoleName(role)) + "." + PartName(part);
    };
    visit(name(LinearPart::kWeight), weight);
    visit(name(LinearPart::kA), a);
    visit(name(LinearPart::kB), b);
    visit(name(LinearPart::kBias), bias);
    visit(name(LinearPart::kScale), scale);
  }
};

// What a name of Linear::ForEachTensor() means; nullopt for any other name.
struct LinearTensor {
  Role role;
  LinearPart part;
  // A tensor of the product itself, which blocks that share their weights have once.
  bool is_weight() const { return part != LinearPart::kBias && part != LinearPart::kScale; }
};
std::optional<LinearTensor> LinearTensorNamed(std::string_view name);

struct Norm {
  NormKind kind = NormKind::kRms;
  double eps = 1e-5;
  int64_t divisor = 0;  // kPlainRms
  Tensor weight;        // [width] or undefined
  Tensor bias;          // [width] or undefined

  Tensor Forward(const Tensor& x) const;

  template <class Visitor>
  void ForEachTensor(const std::string& name, Visitor&& visit) {
    visit(name + ".weight", weight);
    visit(name + ".bias", bias);
  }
};

}  // namespace condense
