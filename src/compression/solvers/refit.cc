#include "compression/solvers/refit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "tensor/in_place_factor.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// Damping, relative to mean(diag), of a matrix that is singular to working precision.
constexpr double kSingularDamping = 1e-10;

double MeanDiagonal(const Tensor& a) { return a.diagonal().mean().item<double>(); }

Tensor Square(const Tensor& c, const Tensor& indices) {
  // The rows first: a gather of [k, k] out of whole rows of a panel at a time.
  Tensor square = at::empty({indices.size(0), indices.size(0)}, c.options());
  ForEachColumnBlock(indices.size(0), [&](int64_t first, int64_t rows) {
    Tensor part = square.narrow(0, first, rows);
    at::index_select_out(part, c.index_select(0, indices.narrow(0, first, rows)), 1, indices);
  });
  return square;
}

// The two index sets of a refit: J kept, D dropped.
struct Sets {
  Tensor j, d;

  Sets(const Tensor& c, const Tensor& w, const Indices& kept) {
    CONDENSE_CHECK(
        c.dim() == 2 && c.size(0) == c.size(1) && c.size(0) == w.size(0) && !kept.empty(),
        "C {}, W {}, {} kept", ShapeString(c.sizes()), ShapeString(w.sizes()), kept.size());
    j = IndexTensor(kept).to(c.device());
    d = IndexTensor(Complement(kept, c.size(0))).to(c.device());
  }
};

// What the kept channels have to make up for.
struct Loss {
  Tensor right;             // C_JD W_D [k, out]
  double dropped = 0;       // ||H_D W_D||^2
  double squared_norm = 0;  // ||H W||^2
};

Loss LossOf(const Tensor& c, const Tensor& w, const Sets& sets) {
  const Tensor w_d = w.index_select(0, sets.d);
  Loss loss;
  loss.right = at::empty({sets.j.size(0), w.size(1)}, w.options());
  ForEachColumnBlock(sets.j.size(0), [&](int64_t first, int64_t rows) {
    Tensor part = loss.right.narrow(0, first, rows);
    at::mm_out(part, c.index_select(0, sets.j.narrow(0, first, rows)).index_select(1, sets.d), w_d);
  });
  const Tensor c_dd = Square(c, sets.d);
  loss.dropped = Dot(w_d, at::mm(c_dd, w_d));
  loss.squared_norm = QuadraticForm(c, w);
  return loss;
}

// A factor, and the damping beyond the ridge that was asked for.
struct Regular {
  InPlaceFactor factor;
  double damping = 0;
};

// As InPlaceFactor, and damps a matrix as well whose factor exists only thanks to rounding: its
// solutions would be noise in the directions without data. Of a matrix that is mere rounding, which
// no small damping makes positive definite, the largest absolute row sum is added: its corrections
// are then no larger than what they correct. `a` is used up.
Regular RegularFactor(const Tensor& a, double ridge, const std::string& what) {
  try {
    InPlaceFactor factor(a, ridge, what);
    const double limit =
        1 / (static_cast<double>(a.size(0)) * std::numeric_limits<double>::epsilon());
    const double damping = kSingularDamping * factor.MeanDiagonal();
    if (factor.damping() < damping && !(factor.Condition() < limit)) factor.Damp(damping);
    const double needed = factor.damping();
    return {std::move(factor), needed};
  } catch (const NumericError&) {
    // The matrix is as it was, with the ridge.
    const double bound = at::linalg_vector_norm(a, 1, 1).max().item<double>();
    if (!(bound > 0) || !std::isfinite(bound)) throw;
    InPlaceFactor factor(a, 2 * bound, what);
    const double needed = 2 * bound + factor.damping();
    return {std::move(factor), needed};
  }
}

struct Correction {
  Tensor delta;       // [k, out]
  double gained = 0;  // <delta, right>
  double damping = 0, condition = 1;
};

// (A + mu I)^-1 right; both are used up. Without a ridge, rows and columns that are zero are left
// out and get no correction.
Correction SolveRidge(const Tensor& a, const Tensor& right, double mu, const std::string& what) {
  Correction correction;
  const auto solve = [&](const Tensor& matrix, Tensor target) {
    const Regular regular = RegularFactor(matrix, mu, what);
    correction.damping = regular.damping;
    correction.condition = regular.factor.Condition();
    correction.gained = regular.factor.Solve(target);
    return target;
  };
  const Tensor live = mu > 0 ? Tensor() : at::nonzero(a.diagonal() > 0).squeeze(1);
  if (!live.defined() || live.numel() == a.size(0)) {
    correction.delta = solve(a, right);
    return correction;
  }
  correction.delta = at::zeros_like(right);
  if (live.numel() > 0) {
    correction.delta.index_copy_(0, live, solve(Square(a, live), right.index_select(0, live)));
  }
  return correction;
}

}  // namespace

RefitResult RefitDelta(const Tensor& c, const Tensor& w, const Indices& kept, double relative_mu) {
  const Sets sets(c, w, kept);
  const Loss loss = LossOf(c, w, sets);
  const Tensor c_jj = Square(c, sets.j);
  const double mu = relative_mu * MeanDiagonal(c_jj);
  const Correction solved = SolveRidge(c_jj, loss.right, mu, "Gram matrix of kept channels");
  const double ridge = mu + solved.damping;
  RefitResult result;
  result.damping = solved.damping;
  result.condition = solved.condition;
  result.squared_norm = loss.squared_norm;
  // ||H_D W_D - H_J delta||^2, where (C_JJ + ridge) delta = right.
  result.squared_error =
      std::max(0.0, loss.dropped - solved.gained - ridge * Dot(solved.delta, solved.delta));
  result.weight = w.index_select(0, sets.j).add_(solved.delta);
  return result;
}

RefitResult RefitMinNorm(const Tensor& c, const Tensor& w, const Indices& kept) {
  const Sets sets(c, w, kept);
  const Loss loss = LossOf(c, w, sets);
  const Tensor c_jj = Square(c, sets.j), w_j = w.index_select(0, sets.j);
  RefitResult result;
  const Tensor target = at::matmul(c_jj, w_j) + loss.right;  // C_J: W
  result.weight = at::matmul(PsdPseudoInverse(c_jj, "Gram matrix of kept channels"), target);
  const Tensor delta = result.weight - w_j;
  result.squared_norm = loss.squared_norm;
  result.squared_error = std::max(
      0.0, loss.dropped - 2 * Dot(delta, loss.right) + Dot(delta, at::matmul(c_jj, delta)));
  return result;
}

RefitResult NoRefit(const Tensor& c, const Tensor& w, const Indices& kept) {
  const Sets sets(c, w, kept);
  const Tensor w_d = w.index_select(0, sets.d);
  return {.weight = w.index_select(0, sets.j),
          .squared_error = Dot(w_d, at::mm(Square(c, sets.d), w_d)),
          .squared_norm = QuadraticForm(c, w)};
}

InverseDiagonal RidgeInverseDiagonal(const Tensor& c, double lambda) {
  InPlaceFactor factor(c.clone(at::MemoryFormat::Contiguous), lambda, "ridged Gram matrix");
  // t_j = ||L^-1 e_j||^2: m^3 / 3 beside the factorisation, all in one buffer.
  InverseDiagonal diagonal{.values = {}, .damping = factor.damping()};
  diagonal.values = factor.TakeInverseDiagonal();
  return diagonal;
}

RefitResult RefitSecondFactor(const Tensor& c, const Tensor& a, const Tensor& w,
                              const Tensor& start, double relative_mu) {
  // B = B0 + (A^T C A + mu I)^-1 A^T C (W - A B0)
  const Tensor missing = w - at::matmul(a, start);  // [in, out]
  const Tensor seen = at::matmul(c, missing);
  const Tensor c_a = at::matmul(c, a);         // [in, k]
  const Tensor gram = at::matmul(a.t(), c_a);  // [k, k]
  const Tensor right = at::matmul(a.t(), seen);
  const double mu = relative_mu * MeanDiagonal(gram);
  const Correction solved = SolveRidge(gram, right, mu, "Gram matrix behind the first factor");
  const double ridge = mu + solved.damping;
  RefitResult result;
  result.weight = start + solved.delta;
  result.damping = solved.damping;
  result.condition = solved.condition;
  // <W, C W> with C W = seen + C A start
  result.squared_norm = Dot(w, seen) + Dot(at::matmul(c_a.t(), w), start);
  result.squared_error =
      std::max(0.0, Dot(missing, seen) - solved.gained - ridge * Dot(solved.delta, solved.delta));
  return result;
}

RefitResult RefitTowards(const Regression& r, const Tensor& w_old, const Indices& kept,
                         double relative_ridge) {
  CONDENSE_CHECK(r.c.size(0) == w_old.size(0) && r.b.sizes() == w_old.sizes() && !kept.empty(),
                 "C {}, B {}, W {}, {} kept", ShapeString(r.c.sizes()), ShapeString(r.b.sizes()),
                 ShapeString(w_old.sizes()), kept.size());
  const Tensor s = IndexTensor(kept).to(r.c.device());
  const Tensor c = Square(r.c, s), b = r.b.index_select(0, s);
  const Tensor old = w_old.index_select(0, s);
  // (C + ridge)^-1 (B + ridge W_old), written as a change of the old rows.
  const double ridge = relative_ridge * MeanDiagonal(r.c);
  const Correction solved =
      SolveRidge(c, at::mm(c, old).neg_().add_(b), ridge, "Gram matrix of kept channels");
  RefitResult result;
  result.weight = old + solved.delta;
  result.damping = solved.damping;
  result.condition = solved.condition;
  result.squared_norm = r.target_norm;
  // <W, C W> = <W, B> - ridge <W, delta>
  const double penalty = (ridge + solved.damping) * Dot(result.weight, solved.delta);
  result.squared_error = std::max(0.0, r.target_norm - Dot(result.weight, b) - penalty);
  return result;
}

}  // namespace condense
