#include "compression/solvers/refit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// Columns of a triangular inverse that are made at a time.
constexpr int64_t kInverseBlock = 512;
// Damping, relative to mean(diag), of a matrix that is singular to working precision.
constexpr double kSingularDamping = 1e-10;

// C, W and the two index sets, in pieces: J kept, D dropped.
struct Pieces {
  Tensor c_jj, c_jd, c_dd;  // [k, k], [k, m - k], [m - k, m - k]
  Tensor w_j, w_d;          // [k, out], [m - k, out]
};

Pieces Split(const Tensor& c, const Tensor& w, const Indices& kept) {
  CONDENSE_CHECK(c.dim() == 2 && c.size(0) == c.size(1) && c.size(0) == w.size(0) && !kept.empty(),
                 "C {}, W {}, {} kept", ShapeString(c.sizes()), ShapeString(w.sizes()),
                 kept.size());
  const Tensor j = IndexTensor(kept).to(c.device());
  const Tensor d = IndexTensor(Complement(kept, c.size(0))).to(c.device());
  const Tensor rows = c.index_select(0, j);  // [k, m]
  return {.c_jj = rows.index_select(1, j),
          .c_jd = rows.index_select(1, d),
          .c_dd = c.index_select(0, d).index_select(1, d),
          .w_j = w.index_select(0, j),
          .w_d = w.index_select(0, d)};
}

// What the kept channels have to make up for.
struct Loss {
  Tensor right;             // C_JD W_D [k, out]
  double dropped = 0;       // ||H_D W_D||^2
  double squared_norm = 0;  // ||H W||^2
};

Loss LossOf(const Pieces& p) {
  Loss loss;
  loss.right = at::matmul(p.c_jd, p.w_d);
  loss.dropped = Dot(p.w_d, at::matmul(p.c_dd, p.w_d));
  loss.squared_norm =
      loss.dropped + 2 * Dot(p.w_j, loss.right) + Dot(p.w_j, at::matmul(p.c_jj, p.w_j));
  return loss;
}

// As CholeskyEscalated, and damps a matrix as well whose factor exists only thanks to rounding: its
// solutions would be noise in the directions without data.
// Of a matrix that is mere rounding, which no small damping makes positive definite, the largest
// absolute row sum is added: its corrections are then no larger than what they correct.
Factor RegularFactor(const Tensor& a, const std::string& what) {
  Factor factor;
  try {
    factor = CholeskyEscalated(a, what);
  } catch (const NumericError&) {
    const double bound = a.abs().sum(1).max().item<double>();
    if (!(bound > 0) || !std::isfinite(bound)) throw;
    Tensor damped = a.clone();
    damped.diagonal().add_(2 * bound);
    factor = CholeskyEscalated(damped, what);
    factor.damping += 2 * bound;
    return factor;
  }
  const double limit =
      1 / (static_cast<double>(a.size(0)) * std::numeric_limits<double>::epsilon());
  const double damping = kSingularDamping * a.diagonal().mean().item<double>();
  if (factor.damping >= damping || ConditionOf(factor) < limit) return factor;
  Tensor damped = a.clone();
  damped.diagonal().add_(damping);
  Factor regular = CholeskyEscalated(damped, what);
  regular.damping += damping;
  return regular;
}

struct Correction {
  Tensor delta;  // [k, out]
  double damping = 0, condition = 1;
};

double MeanDiagonal(const Tensor& a) { return a.diagonal().mean().item<double>(); }

// (A + mu I)^-1 right. Without a ridge, rows and columns that are zero are left out and get no
// correction.
Correction SolveRidge(const Tensor& a, const Tensor& right, double mu, const std::string& what) {
  Correction correction;
  const Tensor diagonal = a.diagonal();
  const auto solve = [&](const Tensor& matrix, const Tensor& target) {
    const Factor factor = RegularFactor(matrix, what);
    correction.damping = factor.damping;
    correction.condition = ConditionOf(factor);
    return CholeskySolve(factor, target);
  };
  if (mu > 0) {
    Tensor damped = a.clone();
    damped.diagonal().add_(mu);
    correction.delta = solve(damped, right);
    return correction;
  }
  const Tensor live = at::nonzero(diagonal > 0).squeeze(1);
  if (live.numel() == diagonal.numel()) {
    correction.delta = solve(a, right);
    return correction;
  }
  correction.delta = at::zeros_like(right);
  if (live.numel() > 0) {
    correction.delta.index_copy_(
        0, live, solve(a.index_select(0, live).index_select(1, live), right.index_select(0, live)));
  }
  return correction;
}

}  // namespace

RefitResult RefitDelta(const Tensor& c, const Tensor& w, const Indices& kept, double relative_mu) {
  const Pieces p = Split(c, w, kept);
  const Loss loss = LossOf(p);
  const double mu = relative_mu * MeanDiagonal(p.c_jj);
  const Correction solved = SolveRidge(p.c_jj, loss.right, mu, "Gram matrix of kept channels");
  const double ridge = mu + solved.damping;
  RefitResult result;
  result.weight = p.w_j + solved.delta;
  result.damping = solved.damping;
  result.condition = solved.condition;
  result.squared_norm = loss.squared_norm;
  // ||H_D W_D - H_J delta||^2, where (C_JJ + ridge) delta = right.
  result.squared_error = std::max(
      0.0, loss.dropped - Dot(solved.delta, loss.right) - ridge * Dot(solved.delta, solved.delta));
  return result;
}

RefitResult RefitMinNorm(const Tensor& c, const Tensor& w, const Indices& kept) {
  const Pieces p = Split(c, w, kept);
  const Loss loss = LossOf(p);
  RefitResult result;
  const Tensor target = at::matmul(p.c_jj, p.w_j) + loss.right;  // C_J: W
  result.weight = at::matmul(PsdPseudoInverse(p.c_jj, "Gram matrix of kept channels"), target);
  const Tensor delta = result.weight - p.w_j;
  result.squared_norm = loss.squared_norm;
  result.squared_error = std::max(
      0.0, loss.dropped - 2 * Dot(delta, loss.right) + Dot(delta, at::matmul(p.c_jj, delta)));
  return result;
}

RefitResult NoRefit(const Tensor& c, const Tensor& w, const Indices& kept) {
  const Pieces p = Split(c, w, kept);
  const Loss loss = LossOf(p);
  return {.weight = p.w_j, .squared_error = loss.dropped, .squared_norm = loss.squared_norm};
}

InverseDiagonal RidgeInverseDiagonal(const Tensor& c, double lambda) {
  Tensor ridged = c.clone();
  ridged.diagonal().add_(lambda);
  const Factor factor = CholeskyEscalated(ridged, "ridged Gram matrix");
  ridged.reset();
  // t_j = ||L^-1 e_j||^2. Column j of L^-1 is zero above j, so each block of columns is a solve
  // with what remains of L below: m^3 / 3 in all, and no [m, m] inverse.
  const int64_t m = c.size(0);
  InverseDiagonal diagonal{.values = at::empty({m}, c.options()), .damping = factor.damping};
  for (int64_t first = 0; first < m; first += kInverseBlock) {
    const int64_t rest = m - first, width = std::min(kInverseBlock, rest);
    const Tensor columns =
        at::linalg_solve_triangular(factor.lower.narrow(0, first, rest).narrow(1, first, rest),
                                    at::eye(rest, width, c.options()),
                                    /*upper=*/false);
    diagonal.values.narrow(0, first, width).copy_(columns.square().sum(0));
  }
  return diagonal;
}

RefitResult RefitSecondFactor(const Tensor& c, const Tensor& a, const Tensor& w,
                              const Tensor& start, double relative_mu) {
  // B = B0 + (A^T C A + mu I)^-1 A^T C (W - A B0)
  const Tensor missing = w - at::matmul(a, start);  // [in, out]
  const Tensor seen = at::matmul(c, missing);
  const Tensor gram = at::matmul(a.t(), at::matmul(c, a));  // [k, k]
  const Tensor right = at::matmul(a.t(), seen);
  const double mu = relative_mu * MeanDiagonal(gram);
  const Correction solved = SolveRidge(gram, right, mu, "Gram matrix behind the first factor");
  const double ridge = mu + solved.damping;
  RefitResult result;
  result.weight = start + solved.delta;
  result.damping = solved.damping;
  result.condition = solved.condition;
  result.squared_norm = Dot(w, at::matmul(c, w));
  result.squared_error = std::max(
      0.0, Dot(missing, seen) - Dot(solved.delta, right) - ridge * Dot(solved.delta, solved.delta));
  return result;
}

RefitResult RefitTowards(const Regression& r, const Tensor& w_old, const Indices& kept,
                         double relative_ridge) {
  CONDENSE_CHECK(r.c.size(0) == w_old.size(0) && r.b.sizes() == w_old.sizes() && !kept.empty(),
                 "C {}, B {}, W {}, {} kept", ShapeString(r.c.sizes()), ShapeString(r.b.sizes()),
                 ShapeString(w_old.sizes()), kept.size());
  const Tensor s = IndexTensor(kept).to(r.c.device());
  const Tensor c = r.c.index_select(0, s).index_select(1, s), b = r.b.index_select(0, s);
  const Tensor old = w_old.index_select(0, s);
  // (C + ridge)^-1 (B + ridge W_old), written as a change of the old rows.
  const Correction solved =
      SolveRidge(c, b - at::matmul(c, old), relative_ridge * MeanDiagonal(r.c),
                 "Gram matrix of kept channels");
  RefitResult result;
  result.weight = old + solved.delta;
  result.damping = solved.damping;
  result.condition = solved.condition;
  result.squared_norm = r.target_norm;
  result.squared_error = std::max(0.0, r.target_norm - 2 * Dot(result.weight, b) +
                                           Dot(result.weight, at::matmul(c, result.weight)));
  return result;
}

}  // namespace condense
