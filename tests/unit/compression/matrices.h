// Matrices for tests of the solvers, from the project's own generator.
#pragma once

#include "base/random.h"
#include "compression/solvers/indices.h"
#include "tensor/tensor.h"

namespace condense {

inline Tensor Normals(std::vector<int64_t> shape, const std::string& purpose) {
  Tensor t = at::empty(shape, at::TensorOptions().dtype(kF64));
  Random random(7, purpose);
  double* values = t.data_ptr<double>();
  for (int64_t i = 0; i < t.numel(); ++i) values[i] = random.Normal();
  return t;
}

// [n, p] with correlated columns of uneven size, as activations are.
inline Tensor Activations(int64_t n, int64_t p, const std::string& purpose) {
  const Tensor mix = Normals({p, p}, purpose + "/mix");
  const Tensor scale = (Normals({p}, purpose + "/scale")).exp();
  return at::matmul(Normals({n, p}, purpose), mix) * scale;
}

inline Tensor GramOf(const Tensor& x) { return at::matmul(x.t(), x); }
inline double SquaredNorm(const Tensor& x) { return x.square().sum().item<double>(); }
inline double MaxDifference(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}
inline Tensor Columns(const Tensor& x, const Indices& indices) {
  return x.index_select(1, IndexTensor(indices));
}
inline Tensor Rows(const Tensor& x, const Indices& indices) {
  return x.index_select(0, IndexTensor(indices));
}
// argmin_B ||A B - Y||_F for A of full column rank, by QR.
inline Tensor LeastSquares(const Tensor& a, const Tensor& y) {
  const auto [q, r] = at::linalg_qr(a);
  return at::linalg_solve_triangular(r, at::matmul(q.t(), y), /*upper=*/true);
}

// Calls fn for every subset of k of 0 ... n-1.
template <class Function>
void ForEachSubset(int64_t n, int64_t k, Function&& fn) {
  for (int64_t bits = 0; bits < (int64_t{1} << n); ++bits) {
    Indices subset;
    for (int64_t i = 0; i < n; ++i) {
      if ((bits >> i) & 1) subset.push_back(i);
    }
    if (static_cast<int64_t>(subset.size()) == k) fn(subset);
  }
}

}  // namespace condense
