// The value subspace of one key/value head while the other heads stay as they are: the inner
// problem of reduced_rank.h.
//
// With what the other heads explain taken out, the head's group of g query heads has the normal
// equations C~ [g d_h, g d_h], B~ [g d_h, d], of which only E = B~ B~^T matters. What subspace P
// [d_h, k] loses is ||R^-1 B~||^2 minus its part in the span of R^T (I_g x P), C~ = R R^T. With one
// query head the best P is R^-T U_k, U the leading eigenvectors of R^-1 E R^-T.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace condense {

class HeadSubspace {
 public:
  // c: C~, symmetric positive definite; e: B~ B~^T.
  HeadSubspace(const Tensor& c, const Tensor& e, int64_t queries);

  // Directions in order of importance [d_h, d_h]: the best ones of each width with one query head,
  // else those of the group's mean C~ and stacked ridge solutions (methods.md 1.4).
  const Tensor& directions() const { return directions_; }
  // What each further one of them gains: [d_h].
  Tensor Spectrum() const;
  // What a subspace loses, >= 0.
  double Loss(const Tensor& subspace) const;

  // A subspace that loses no more than `subspace` does, after rounds of alternating least squares
  // over the output maps and the subspace; orthonormal columns.
  Tensor Improved(const Tensor& subspace, int64_t rounds) const;

 private:
  Tensor OfGroup(const Tensor& subspace) const;  // I_g x P [g d_h, g k]
  Tensor Alternated(const Tensor& subspace) const;

  Tensor c_, e_;
  int64_t queries_, width_;
  Tensor lower_;     // R
  Tensor whitened_;  // R^-1 E R^-T
  Tensor mean_c_;    // [d_h, d_h] mean of the diagonal blocks of C~
  Tensor directions_;
};

}  // namespace condense
