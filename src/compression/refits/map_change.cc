#include "compression/refits/map_change.h"

namespace condense {
namespace {

// Calls fn(tensor of a, tensor of b) for every parameter.
template <class A, class B, class Fn>
void ForEachPair(A& a, B& b, Fn&& fn) {
  for (size_t i = 0; i < a.size(); ++i) {
    fn(a[i].weight, b[i].weight);
    if (a[i].bias.defined()) fn(a[i].bias, b[i].bias);
  }
}

}  // namespace

Tensor MapChange::Apply(const Tensor& rows) const {
  const Tensor product = at::matmul(rows, weight.t());
  return bias.defined() ? product.add(bias) : product;
}

void MapChange::Collect(const Tensor& gradient, const Tensor& inputs) {
  const Tensor flat = gradient.flatten(0, -2);
  weight.addmm_(flat.t(), inputs.flatten(0, -2));
  if (bias.defined()) bias.add_(flat.sum(0));
}

Change ZeroChange(const std::vector<Linear>& maps) {
  Change zero;
  for (const Linear& map : maps) {
    zero.push_back({at::zeros_like(map.weight, at::MemoryFormat::Contiguous), {}});
    if (map.bias.defined()) zero.back().bias = at::zeros_like(map.bias);
  }
  return zero;
}

Change Copy(const Change& change) {
  Change copy;
  for (const MapChange& map : change) {
    copy.push_back({map.weight.clone(), map.bias.defined() ? map.bias.clone() : Tensor()});
  }
  return copy;
}

double Dot(const Change& a, const Change& b) {
  Tensor sum;
  ForEachPair(a, b, [&](const Tensor& x, const Tensor& y) {
    const Tensor part = (x * y).sum(kF64);
    sum = sum.defined() ? sum.add_(part) : part;
  });
  return sum.item<double>();
}

void SetZero(Change& a) {
  ForEachPair(a, a, [](Tensor& x, const Tensor&) { x.zero_(); });
}

void Scale(Change& a, double factor) {
  ForEachPair(a, a, [&](Tensor& x, const Tensor&) { x.mul_(factor); });
}

void AddScaled(Change& a, double factor, const Change& b) {
  ForEachPair(a, b, [&](Tensor& x, const Tensor& y) { x.add_(y, factor); });
}

std::vector<Linear> Moved(const std::vector<Linear>& maps, double factor, const Change& change) {
  std::vector<Linear> moved = maps;
  ForEachPair(moved, change, [&](Tensor& x, const Tensor& y) { x = x.add(y, factor); });
  return moved;
}

}  // namespace condense
