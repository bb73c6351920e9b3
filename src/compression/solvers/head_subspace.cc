#include "compression/solvers/head_subspace.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// Conjugate gradients of the subspace step. They start from the present subspace, so that every
// step is a gain and none has to be exact.
constexpr int64_t kMaxSteps = 40;
constexpr double kTolerance = 1e-8;  // of the first residual

// L^-1 M L^-T for symmetric M.
Tensor Whitened(const Tensor& lower, const Tensor& m) {
  const Tensor half = at::linalg_solve_triangular(lower, m, /*upper=*/false);
  return Symmetrised(at::linalg_solve_triangular(lower, half.t(), /*upper=*/false));
}

}  // namespace

HeadSubspace::HeadSubspace(const Tensor& c, const Tensor& e, int64_t queries)
    : c_(Symmetrised(c)), e_(Symmetrised(e)), queries_(queries), width_(c.size(0) / queries) {
  CONDENSE_CHECK(c.dim() == 2 && c.sizes() == e.sizes() && c.size(0) == queries * width_,
                 "C {}, E {}, {} query heads", ShapeString(c.sizes()), ShapeString(e.sizes()),
                 queries);
  lower_ = CholeskyEscalated(c_, "Gram matrix of a head beside the others").lower;
  whitened_ = Whitened(lower_, e_);
  if (queries_ == 1) {
    mean_c_ = c_;
    const Eigen eigen = EighDescending(whitened_, "whitened outputs of a head");
    directions_ =
        at::linalg_solve_triangular(lower_.t().contiguous(), eigen.vectors, /*upper=*/true);
    return;
  }
  // Stacked side by side, the ridge solutions L_x = (C~^-1 B~)_x have sum_x L_x L_x^T; the best
  // subspace for the mean Gram matrix follows from it as with one head.
  const Tensor solution = at::linalg_solve_triangular(
      lower_.t().contiguous(),
      at::linalg_solve_triangular(lower_.t().contiguous(), whitened_, true).t(), true);
  mean_c_ = at::zeros({width_, width_}, c.options());
  Tensor outer = at::zeros_like(mean_c_);
  for (int64_t x = 0; x < queries_; ++x) {
    const auto block = [&](const Tensor& m) {
      return m.narrow(0, x * width_, width_).narrow(1, x * width_, width_);
    };
    mean_c_ += block(c_) / static_cast<double>(queries_);
    outer += block(solution);
  }
  const Tensor lower = CholeskyEscalated(mean_c_, "mean Gram matrix of a group").lower;
  const Eigen eigen = EighDescending(Symmetrised(at::matmul(lower.t(), at::matmul(outer, lower))),
                                     "whitened outputs of a group");
  directions_ = at::linalg_solve_triangular(lower.t().contiguous(), eigen.vectors, /*upper=*/true);
}

Tensor HeadSubspace::OfGroup(const Tensor& subspace) const {
  return at::block_diag(std::vector<Tensor>(static_cast<size_t>(queries_), subspace));
}

Tensor HeadSubspace::Spectrum() const {
  // Rows of L^-1 Z^T B~, Z^T C~ Z = L L^T, add up to what is explained; Z in the order of the
  // directions, each for all query heads.
  const Tensor order = at::arange(queries_ * width_, at::TensorOptions().dtype(kI64))
                           .view({queries_, width_})
                           .t()
                           .flatten()
                           .to(c_.device());
  const Tensor z = OfGroup(directions_).index_select(1, order);
  const Tensor lower =
      CholeskyEscalated(Symmetrised(at::matmul(z.t(), at::matmul(c_, z))), "directions of a head")
          .lower;
  const Tensor explained = Whitened(lower, at::matmul(z.t(), at::matmul(e_, z))).diagonal();
  return explained.reshape({width_, queries_}).sum(1).clamp_min(0);
}

double HeadSubspace::Loss(const Tensor& subspace) const {
  const int64_t kept = queries_ * subspace.size(1);
  if (kept == c_.size(0)) return 0;
  // The trace over what is orthogonal to R^T Z; the difference of two traces would lose digits.
  const auto [q, r] = at::linalg_qr(at::matmul(lower_.t(), OfGroup(subspace)), "complete");
  const Tensor rest = q.narrow(1, kept, c_.size(0) - kept);
  return std::max(0.0, Dot(rest, at::matmul(whitened_, rest)));
}

Tensor HeadSubspace::Alternated(const Tensor& subspace) const {
  const int64_t k = subspace.size(1);
  // Output maps for this subspace: N = S^-1 Z^T B~ [g k, d], of which N N^T and B~ N^T are needed.
  const Tensor z = OfGroup(subspace);
  const Factor factor =
      CholeskyEscalated(Symmetrised(at::matmul(z.t(), at::matmul(c_, z))), "channels of a group");
  const Tensor seen = CholeskySolve(factor, at::matmul(z.t(), e_));  // N B~^T [g k, g d_h]
  const Tensor outer = Symmetrised(CholeskySolve(factor, at::matmul(seen, z).t()));  // N N^T
  const Tensor blocks = outer.reshape({queries_, k, queries_, k});                   // y, :, x, :
  Tensor right = at::zeros_like(subspace);  // sum_x B~_x N_x^T
  for (int64_t x = 0; x < queries_; ++x) {
    right += seen.narrow(0, x * k, k).narrow(1, x * width_, width_).t();
  }
  // sum_xy C~_xy P N_y N_x^T = right for P, preconditioned by the means of its two sides.
  const Tensor rows = c_.reshape({-1, width_});  // C~ by (x, i, y) and j
  const Tensor mixed = blocks.permute({2, 0, 1, 3}).reshape({queries_, queries_ * k, k});
  const auto apply = [&](const Tensor& p) {
    const Tensor left = at::matmul(rows, p).view({queries_, width_, queries_ * k});  // x, i, (y, :)
    return at::bmm(left, mixed).sum(0);
  };
  const Factor left = CholeskyEscalated(mean_c_, "mean Gram matrix of a group");
  Tensor sum = at::zeros({k, k}, c_.options());
  for (int64_t x = 0; x < queries_; ++x) sum += blocks.select(0, x).select(1, x);
  const double mean = sum.diagonal().mean().item<double>();
  if (!(mean > 0)) return subspace;  // nothing is put out
  const Factor right_factor = CholeskyEscalated(Symmetrised(sum), "output maps of a group");
  const auto precondition = [&](const Tensor& residual) {
    return CholeskySolve(right_factor, CholeskySolve(left, residual).t()).t();
  };

  Tensor p = subspace, residual = right - apply(p);
  Tensor direction = precondition(residual);
  double energy = Dot(residual, direction);
  const double first = energy;
  for (int64_t step = 0; step < kMaxSteps && energy > kTolerance * kTolerance * first; ++step) {
    const Tensor image = apply(direction);
    const double curvature = Dot(direction, image);
    if (!(curvature > 0)) break;
    p = p + direction * (energy / curvature);
    residual = residual - image * (energy / curvature);
    const Tensor next = precondition(residual);
    const double next_energy = Dot(residual, next);
    direction = next + direction * (next_energy / energy);
    energy = next_energy;
  }
  return p;
}

Tensor HeadSubspace::Improved(const Tensor& subspace, int64_t rounds) const {
  Tensor best = std::get<0>(at::linalg_qr(subspace));
  if (queries_ == 1) return best;  // the closed form is the optimum
  double loss = Loss(best);
  for (int64_t round = 0; round < rounds; ++round) {
    const Tensor next = std::get<0>(at::linalg_qr(Alternated(best)));
    const double next_loss = Loss(next);
    if (!(next_loss < loss)) break;  // rounding
    best = next, loss = next_loss;
  }
  return best;
}

}  // namespace condense
