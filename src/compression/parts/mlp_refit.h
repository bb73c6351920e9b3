// Refit of all matrices of a narrowed MLP to a target, by Gauss-Newton.
//
// A selection of channels and the refit of the down projection leave gate and up as they were. Here
// they move too: with theta the matrices and biases of up, gate and down,
//
//   min_theta  sum_n w_n ||t_n - y(x_n; theta)||^2.
//
// A step linearises y in theta and minimises sum_n w_n ||r_n - J_n m||^2 + ridge m^T K m by
// preconditioned conjugate gradients. K, which is also the preconditioner, takes J^T J apart into
// the blocks of the matrices, each the Gram matrix of its inputs beside the energies of its outputs
// (Kronecker factors as in Martens and Grosse, arXiv 1503.05671, with a diagonal on the side of the
// outputs). The gradient is over all rows; curvature is looked at in a part of them. A step that
// does not lower the loss is halved, and left out when that does not help: the loss never rises.
//
// Nothing of a batch is kept: every product is a pass over the rows.
#pragma once

#include <functional>
#include <string>

#include "model/block.h"

namespace condense {

struct MlpRefitOptions {
  int64_t steps = 2;
  int64_t iterations = 6;  // of conjugate gradients in a step
  int64_t stride = 1;      // every n-th row is looked at for curvature
};

struct MlpRows {
  Tensor inputs, targets;  // [n, in], [n, out]: what the MLP reads, and what it should make of it
  Tensor weights;          // [n] or undefined: all alike
};
// Calls a function with every stride-th row, in batches; the same ones each time.
using MlpVisit = std::function<void(int64_t stride, const std::function<void(const MlpRows&)>& fn)>;

struct MlpRefitResult {
  int64_t steps = 0;  // that were taken
  double squared_error_before = 0, squared_error = 0;
};

// hidden_gram: of what the down projection reads, damped [m, m] float64; it only preconditions.
// `where` names the layer in errors: NumericError if a step is not finite.
MlpRefitResult RefitMlp(const MlpVisit& visit, const Tensor& hidden_gram,
                        const MlpRefitOptions& options, const std::string& where, Mlp& mlp);

}  // namespace condense
