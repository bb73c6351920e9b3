// Backward elimination of channels with the optimal-brain-surgeon cost (methods.md 5.7): Frantar &
// Alistarh, OBC, arXiv 2208.11580.
//
// H = (C + delta I)^-1, P = W W^T. Removing channel j costs P_jj / H_jj once all others have
// adapted, and leaves H - H_:j H_j: / H_jj; P changes with it, and W is not needed. The order is
// exactly greedy. The update of the two matrices waits until a block of channels is removed
// (kernels/elimination_block.h), as in a pivoted Cholesky factorisation: a matrix product on half
// of each, of the channels that are left. Groups (heads) are few and wide: they go one at a time,
// at tr(W_g^T (H_gg)^-1 W_g) = tr((H_gg)^-1 P_gg). With a target of its own (refit.h) only the
// initial weights differ. The costs add up to the error of a least-squares refit of what remains.
#pragma once

#include <cstdint>

#include "compression/solvers/indices.h"
#include "compression/solvers/regression.h"
#include "tensor/tensor.h"

namespace condense {

struct Elimination {
  Indices order;       // channels in the order of their removal: nested, one run serves every width
  Tensor costs;        // [count]: increase of ||H W - H_J W'||^2 by each removal
  double damping = 0;  // absolute, with what was asked for
};
struct EliminationOptions {
  double relative_damping = 1e-6;  // of mean(diag C)
  // Channels between two updates of H and P. The order does not depend on it.
  int64_t block = 128;
};
// Removes `count` of the channels of W [m, out], each time the one whose loss costs least once all
// others have adapted. C = H^T H [m, m].
Elimination EliminateBackward(const Tensor& c, const Tensor& w, int64_t count,
                              const EliminationOptions& options);
// The same for groups of channels, one group at a time: units [groups, r] int64, disjoint. The
// order is one of groups.
Elimination EliminateGroups(const Tensor& c, const Tensor& w, const Tensor& units, int64_t count,
                            double relative_damping);

// The same with a target of its own (refit.h), of the channels of the ridge solution on all
// channels; options.relative_damping is the ridge. costs: what each removal adds to ||T - Y W||^2 +
// ridge ||W - W_old||^2, all others adapted.
Elimination EliminateTowards(const Regression& r, const Tensor& w_old, int64_t count,
                             const EliminationOptions& options);

}  // namespace condense
