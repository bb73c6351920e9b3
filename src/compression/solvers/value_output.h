// Value/output subspaces of one key/value head (methods.md 1.4).
//
// With R = (C_V + delta I)^{1/2} the best rank-k pair for the outputs X W_V W_O comes from the left
// singular vectors U of R W_O: W_V' = W_V R^-1 U_k, W_O' = U_k^T R W_O. They are the eigenvectors
// of R W_O W_O^T R, a [d_h, d_h] matrix; this halves the digits of tiny singular values, which
// truncation drops anyway.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

// Factors for the columns of a value subspace [d_h, k] that give each channel the root mean square
// of the dense ones; c_v: Gram matrix of the values. A direction in which there are no data has no
// energy to go by; it gets unit length.
Tensor ValueBalance(const Tensor& c_v, const Tensor& subspace, double relative_delta);

struct ValueOptions {
  bool joint = true;    // all query heads of the group together; false: eigenvectors of C_V alone
  bool balance = true;  // keep the root mean square of the dense value channels
  double relative_delta = 1e-10;
};
struct ValueSubspace {
  Tensor value;                // T: [d_h, k]; W_V' = W_V T
  std::vector<Tensor> output;  // W_O' of each query head of the group: [k, d]
  double squared_error = 0;    // sum over the group of ||X W_V W_O - X W_V' W_O'||_F^2
};
// The value subspaces of one key/value head, for every rank.
class ValueSubspaces {
 public:
  // c_v: [d_h, d_h] Gram matrix of the values; w_o: W_O of each query head of the group [d_h, d].
  ValueSubspaces(const Tensor& c_v, std::vector<Tensor> w_o, const ValueOptions& options);

  // Squared error that each further direction would remove: [d_h], in the order of keeping.
  const Tensor& spectrum() const { return spectrum_; }
  double squared_norm() const { return squared_norm_; }
  bool dead() const { return dead_; }  // C_V = 0: the first channels are kept as they are
  ValueSubspace Keep(int64_t k) const;

 private:
  ValueOptions options_;
  Tensor c_v_;
  std::vector<Tensor> w_o_;
  Tensor value_;   // [d_h, d_h] columns in order of importance
  Tensor output_;  // [d_h, d_h]: its rows applied to W_O
  Tensor spectrum_;
  double squared_norm_ = 0;
  bool dead_ = false;
};

}  // namespace condense
