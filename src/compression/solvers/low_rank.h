// Whitened low-rank factorisation of one weight: W ~ A B with the least ||S (W - A B)||_F for an
// invertible S that weighs the inputs (methods.md 5.8). float64, row vectors: y = x W, W [in, out].
//
// With S W = U diag(s) V^T the best rank-k product is S^-1 U_k diag(s_k) V_k^T = W V_k V_k^T, the
// projection of W on the leading right singular vectors. The factors are made in this second form,
// which needs no inverse of S and stays harmless where the inputs do not span their space.
#pragma once

#include <optional>

#include "tensor/tensor.h"

namespace condense {

// S.
class Whitening {
 public:
  // S = I: all inputs count alike.
  static Whitening None() { return {}; }
  // S = diag(scale), scale [in] positive.
  static Whitening Diagonal(const Tensor& scale);
  // S = L^T with C + delta I = L L^T, so that ||S E||^2 is the squared error ||X E||^2 of outputs
  // on the data of the Gram matrix C [in, in]. delta: relative_damping times mean(diag C), and what
  // the factorisation needs beyond that. A zero matrix is no data: S = I.
  static Whitening OfGram(const Tensor& c, double relative_damping, const std::string& what);

  Tensor Apply(const Tensor& w) const;  // S W [in, out]
  double damping() const { return damping_; }
  std::optional<double> condition() const { return condition_; }  // of S^T S; a lower bound

 private:
  Tensor scale_, upper_;  // at most one is defined
  double damping_ = 0;
  std::optional<double> condition_;
};

struct LowRank {
  Tensor a;                  // [in, k]
  Tensor b;                  // [k, out]; its rows are as long as the columns of A
  double squared_error = 0;  // ||S (W - A B)||_F^2: the tail of the squared singular values
  double squared_norm = 0;   // ||S W||_F^2
};
LowRank Factorise(const Tensor& w, const Whitening& whitening, int64_t rank,
                  const std::string& what);

}  // namespace condense
