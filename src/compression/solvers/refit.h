// Least-squares refits of a consumer matrix on kept channels, and ridge leverage (methods.md 1.2).
// Source: Lin et al., MoDeGPT, arXiv 2408.09632; statements marked in methods.md.
//
// A refit may have a target of its own: argmin_W ||T - Y W||^2 + ridge ||W - W_old||^2, where T
// need not be Y W_old. This is what lets a module repair the errors of those before it: T is then
// what the module should have added to the residual stream, Y what it really reads. The ridge is
// towards the old weights and relative to mean(diag C), C = Y^T Y over all channels, so that the
// costs of an elimination are those of the refit that follows it.
#pragma once

#include "compression/solvers/indices.h"
#include "compression/solvers/regression.h"
#include "tensor/tensor.h"

namespace condense {

struct RefitResult {
  Tensor weight;             // [k, out]
  double damping = 0;        // absolute, that the factorisation needed beyond what was asked for
  double condition = 1;      // of the matrix that was solved: a lower bound
  double squared_error = 0;  // ||H W - H_J W'||_F^2 on the calibration set
  double squared_norm = 0;   // ||H W||_F^2
};
// Least squares on kept channels: argmin_B ||H W - H_J B||, C = H^T H [m, m], W [m, out].
// min_norm: C_JJ^+ C_J: W.
RefitResult RefitMinNorm(const Tensor& c, const Tensor& w, const Indices& kept);
// delta: W[J] + (C_JJ + mu I)^-1 C_JD W[D], mu = relative_mu * mean(diag C_JJ); pulls towards the
// original rows. Dead channels (C_jj = 0) among the kept ones get no correction. Where C_JJ is
// singular to working precision and mu = 0, 1e-10 mean(diag C_JJ) is added and reported as damping,
// so that directions without data stay as they were.
RefitResult RefitDelta(const Tensor& c, const Tensor& w, const Indices& kept, double relative_mu);

// W[J] as it is, with the error that this makes.
RefitResult NoRefit(const Tensor& c, const Tensor& w, const Indices& kept);

// Least squares for the second of two factors: argmin_B ||X W - X A B||^2 + ridge ||B - start||^2,
// C = X^T X [in, in], A [in, k], W [in, out], start [k, out]; ridge and damping as RefitDelta's.
RefitResult RefitSecondFactor(const Tensor& c, const Tensor& a, const Tensor& w,
                              const Tensor& start, double relative_mu);

// The refit on kept channels [k, out]: with ridge 0, C_SS^-1 B_S. Channels without data keep their
// old rows. squared_error is ||T - Y_S W||^2, squared_norm ||T||^2 (both without the ridge).
RefitResult RefitTowards(const Regression& r, const Tensor& w_old, const Indices& kept,
                         double relative_ridge);

struct InverseDiagonal {
  Tensor values;  // [m]
  double damping = 0;
};
// Ridge leverage as t_j = [(C + lambda I)^-1]_jj: small is important. The leverage itself is
// 1 - lambda t_j, which loses the digits that decide. No inverse is formed.
InverseDiagonal RidgeInverseDiagonal(const Tensor& c, double lambda);

}  // namespace condense
