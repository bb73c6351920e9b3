// A block of channels that a backward elimination removes one after the other, before the two
// matrices that it lives on are updated for all of them together.
//
// H is the inverse of a Gram matrix, P = W W^T the products of what reads the channels. Removing
// channel j, once all others have adapted, costs P_jj / H_jj and leaves H - u H_j: and E P E^T with
// u = H_:j / H_jj, E = I - u e_j^T. Only the column of the next channel and both diagonals have to
// be known for the next step: so each step takes O(n t) after t removals, and in the end
//   H - U diag(g) U^T   and   P - U V^T - V U^T + U diag(a) U^T
// are what remains. The order is that of removing one at a time.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace condense {

struct EliminationBlock {
  Tensor u, v;       // [n, steps] float64
  Tensor g, a;       // [steps]: H_jj and P_jj at each removal
  Tensor costs;      // [steps]
  Tensor positions;  // [steps] int64, in 0 ... n - 1
};

// pair [n, n + 1], float64, rows contiguous: H in the lower triangle of columns 0 ... n - 1, P in
// the upper triangle of columns 1 ... n, with their diagonals. channels [n] int64: of equal costs
// the one with the lower channel goes. Where H has lost all its digits, g is not positive.
EliminationBlock EliminateBlock(const Tensor& pair, const Tensor& channels, int64_t steps);

// The same out of LibTorch's operators, on any device, without reads by the host.
EliminationBlock EliminateBlockComposed(const Tensor& pair, const Tensor& channels, int64_t steps);

}  // namespace condense
