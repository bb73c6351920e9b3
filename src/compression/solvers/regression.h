// Refits towards a target of their own: argmin_W ||T - Y W||^2 + ridge ||W - W_old||^2, where T
// need not be Y W_old. This is what lets a module repair the errors of those before it: T is then
// what the module should have added to the residual stream, Y what it really reads.
//
// With T = Y W_old these are the refits and the elimination of solvers.h, which they share their
// code with. The ridge is towards the old weights and relative to mean(diag C), C = Y^T Y over all
// channels, so that the costs of an elimination are those of the refit that follows it.
#pragma once

#include "compression/solvers/solvers.h"

namespace condense {

// The normal equations of T ~ Y W.
struct Regression {
  Tensor c;                // Y^T Y [p, p]
  Tensor b;                // Y^T T [p, out]
  double target_norm = 0;  // ||T||_F^2; only errors need it
};

// The regression with a free constant: of Y - mean(Y) and T - mean(T).
Regression Centred(const Regression& r, const Tensor& mean_y, const Tensor& mean_t, int64_t tokens);
// Its constant: mean(T) - mean(Y) W. mean_y: of the channels that W reads.
Tensor Intercept(const Tensor& mean_y, const Tensor& mean_t, const Tensor& w);

// The refit on kept channels [k, out]: with ridge 0, C_SS^-1 B_S. Channels without data keep their
// old rows. squared_error is ||T - Y_S W||^2, squared_norm ||T||^2 (both without the ridge).
RefitResult RefitTowards(const Regression& r, const Tensor& w_old, const Indices& kept,
                         double relative_ridge);

// Backward elimination as in solvers.h, of the channels of the ridge solution on all channels;
// options.relative_damping is the ridge. costs: what each removal adds to
// ||T - Y W||^2 + ridge ||W - W_old||^2, all others adapted.
Elimination EliminateTowards(const Regression& r, const Tensor& w_old, int64_t count,
                             const EliminationOptions& options);

}  // namespace condense
