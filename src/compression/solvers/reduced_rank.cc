#include "compression/solvers/reduced_rank.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "compression/solvers/head_subspace.h"
#include "compression/solvers/refit.h"
#include "compression/solvers/value_output.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

constexpr double kBalanceDelta = 1e-10;  // below this share of the mean energy: no data

// x [..., g d_h] -> x (I_g x P) [..., g k]
Tensor TimesBlocks(const Tensor& x, const Tensor& subspace) {
  return at::matmul(x.unflatten(-1, {-1, subspace.size(0)}), subspace).flatten(-2);
}

// The subspaces so far, with C Z, Z^T B and Z^T C Z beside them. Every head has its columns in
// place of its d_h dense ones, of which a narrowed head uses the first k.
class State {
 public:
  // All heads full: Z = I.
  State(const Regression& r, const std::vector<int64_t>& queries, int64_t width)
      : r_(r),
        queries_(queries),
        width_(width),
        cz_(r.c.clone()),
        zb_(r.b.clone()),
        gram_(r.c.clone()),
        value_(queries.size()) {}

  // P of a head; undefined: full.
  const Tensor& value(int64_t j) const { return value_[static_cast<size_t>(j)]; }

  void Set(int64_t j, const Tensor& subspace) {
    value_[static_cast<size_t>(j)] = subspace;
    const Tensor columns = Columns({j});
    const Tensor cz = TimesBlocks(Rows(r_.c, j).t(), subspace);  // [n_h d_h, g k]
    cz_.index_copy_(1, columns, cz);
    zb_.index_copy_(0, columns, TimesBlocks(Rows(r_.b, j).t(), subspace).t());
    for (int64_t p = 0; p < heads(); ++p) {
      const Tensor own = Rows(cz, p).t();  // [g k, g_p d_h]
      const Tensor block = value(p).defined() ? TimesBlocks(own, value(p)) : own;
      const Tensor others = Columns({p});
      gram_.index_put_({columns.unsqueeze(1), others}, block);
      gram_.index_put_({others.unsqueeze(1), columns}, block.t());
    }
  }

  // The normal equations of head j once the others have explained what they can.
  HeadSubspace Beside(int64_t j) const {
    Tensor c = Rows(Rows(r_.c, j).t(), j);
    Tensor b = Rows(r_.b, j);
    std::vector<int64_t> others(queries_.size());
    std::iota(others.begin(), others.end(), 0);
    others.erase(others.begin() + j);
    if (!others.empty()) {
      const Tensor o = Columns(others);
      const Factor factor =
          CholeskyEscalated(gram_.index_select(0, o).index_select(1, o), "channels of other heads");
      const Tensor cross = Rows(cz_, j).index_select(1, o);  // [g d_h, K]
      const Tensor x = CholeskySolve(factor, cross.t());     // [K, g d_h]
      c = c - at::matmul(cross, x);
      b = b - at::matmul(x.t(), zb_.index_select(0, o));
    }
    return HeadSubspace(c, at::matmul(b, b.t()), queries_[static_cast<size_t>(j)]);
  }

  // Z^T C Z and Z^T B of all heads.
  Regression Narrowed() const {
    std::vector<int64_t> all(queries_.size());
    std::iota(all.begin(), all.end(), 0);
    const Tensor columns = Columns(all);
    return {.c = Symmetrised(gram_.index_select(0, columns).index_select(1, columns)),
            .b = zb_.index_select(0, columns)};
  }

 private:
  int64_t heads() const { return static_cast<int64_t>(queries_.size()); }
  int64_t FirstQuery(int64_t j) const {
    return std::accumulate(queries_.begin(), queries_.begin() + j, int64_t{0});
  }
  // The rows of a head, of a matrix with rows for all.
  Tensor Rows(const Tensor& x, int64_t j) const {
    return x.narrow(0, FirstQuery(j) * width_, queries_[static_cast<size_t>(j)] * width_);
  }
  // The columns that some heads use.
  Tensor Columns(const std::vector<int64_t>& some) const {
    std::vector<Tensor> pieces;
    for (const int64_t j : some) {
      const int64_t k = value(j).defined() ? value(j).size(1) : width_;
      const int64_t first = FirstQuery(j) * width_;
      const Tensor slots = at::arange(first, first + queries_[static_cast<size_t>(j)] * width_,
                                      r_.c.options().dtype(kI64));
      pieces.push_back(slots.view({-1, width_}).narrow(1, 0, k).flatten());
    }
    return at::cat(pieces);
  }

  const Regression& r_;
  const std::vector<int64_t>& queries_;
  int64_t width_;
  Tensor cz_;    // C Z
  Tensor zb_;    // Z^T B
  Tensor gram_;  // Z^T C Z
  std::vector<Tensor> value_;
};

}  // namespace

Tensor ReducedRankFit::Narrow(const Tensor& rows) const {
  std::vector<Tensor> pieces;
  int64_t first = 0;
  for (size_t j = 0; j < value.size(); ++j) {
    const int64_t columns = queries[j] * value[j].size(0);
    pieces.push_back(TimesBlocks(rows.narrow(-1, first, columns), value[j]));
    first += columns;
  }
  return at::cat(pieces, -1);
}

ReducedRank::ReducedRank(Regression r, const Tensor& w_old, std::vector<int64_t> queries,
                         const ReducedRankOptions& options)
    : r_(std::move(r)), w_old_(w_old), queries_(std::move(queries)), options_(options) {
  const int64_t query_heads = std::accumulate(queries_.begin(), queries_.end(), int64_t{0});
  CONDENSE_CHECK(query_heads > 0 && r_.c.size(0) % query_heads == 0 &&
                     r_.c.size(0) == w_old.size(0) && r_.b.sizes() == w_old.sizes(),
                 "C {}, B {}, W {}, {} query heads", ShapeString(r_.c.sizes()),
                 ShapeString(r_.b.sizes()), ShapeString(w_old.sizes()), query_heads);
  CONDENSE_CHECK(options.sweeps >= 0 && options.rounds >= 0, "{} sweeps, {} rounds", options.sweeps,
                 options.rounds);
  width_ = r_.c.size(0) / query_heads;
  ridge_ = options_.relative_ridge * r_.c.diagonal().mean().item<double>();
  r_.c = Symmetrised(r_.c);
  r_.c.diagonal().add_(ridge_);
  r_.b = r_.b + ridge_ * w_old;
  SolveFull();
}

int64_t ReducedRank::FirstQuery(int64_t j) const {
  return std::accumulate(queries_.begin(), queries_.begin() + j, int64_t{0});
}

Tensor ReducedRank::Balanced(int64_t j, const Tensor& subspace) const {
  if (!options_.balance) return subspace;
  // The mean over the group of its Gram matrices, without the ridge.
  Tensor c = at::zeros({width_, width_}, r_.c.options());
  const int64_t g = queries_[static_cast<size_t>(j)];
  for (int64_t i = 0; i < g; ++i) {
    const int64_t first = (FirstQuery(j) + i) * width_;
    c += r_.c.narrow(0, first, width_).narrow(1, first, width_) / static_cast<double>(g);
  }
  c.diagonal().sub_(ridge_);
  return subspace * ValueBalance(c, subspace, kBalanceDelta);
}

void ReducedRank::SolveFull() {
  const Factor factor = CholeskyEscalated(r_.c, "Gram matrix of the output projection's inputs");
  damping_ = factor.damping;
  condition_ = ConditionOf(factor);
  solution_ = CholeskySolve(factor, r_.b);
  // With the others full, C~ = ((C^-1)_jj)^-1 and B~ = C~ (C^-1 B)_j: one inverse for all heads.
  const Tensor inverse = InverseOfFactor(factor);
  for (int64_t j = 0; j < heads(); ++j) {
    const int64_t g = queries_[static_cast<size_t>(j)];
    const int64_t first = FirstQuery(j) * width_, count = g * width_;
    const Tensor corner = Symmetrised(inverse.narrow(0, first, count).narrow(1, first, count));
    const Tensor c = InverseOfFactor(CholeskyEscalated(corner, "inverse Gram matrix of a head"));
    const Tensor b = at::matmul(c, solution_.narrow(0, first, count));
    const HeadSubspace head(c, at::matmul(b, b.t()), g);
    directions_.push_back(head.directions());
    spectra_.push_back(head.Spectrum());
  }
}

ReducedRankFit ReducedRank::Fit(const std::vector<int64_t>& widths) const {
  CONDENSE_CHECK(widths.size() == queries_.size(), "{} widths for {} heads", widths.size(),
                 queries_.size());
  State state(r_, queries_, width_);
  std::vector<int64_t> narrow;
  for (int64_t j = 0; j < heads(); ++j) {
    const int64_t k = widths[static_cast<size_t>(j)];
    CONDENSE_CHECK(k >= 1 && k <= width_, "{} of {} value channels", k, width_);
    if (k == width_) continue;
    narrow.push_back(j);
    state.Set(j, Balanced(j, directions_[static_cast<size_t>(j)].narrow(1, 0, k)));
  }
  std::vector<double> gains(static_cast<size_t>(narrow.empty() ? 0 : options_.sweeps));
  for (double& gain : gains) {
    for (const int64_t j : narrow) {
      const HeadSubspace head = state.Beside(j);
      const Tensor present = state.value(j);
      const double before = head.Loss(present);
      Tensor start = head.directions().narrow(1, 0, present.size(1));
      // Of grouped queries this is a guess, and what there is may be better.
      if (before < head.Loss(start)) start = present;
      const Tensor subspace = head.Improved(start, options_.rounds);
      const double after = head.Loss(subspace);
      if (!(after < before)) continue;
      gain += before - after;
      state.Set(j, Balanced(j, SignFixedColumns(subspace)));
    }
  }

  ReducedRankFit fit;
  fit.queries = queries_;
  for (int64_t j = 0; j < heads(); ++j) {
    const Tensor& subspace = state.value(j);
    fit.value.push_back(subspace.defined() ? subspace : at::eye(width_, r_.c.options()));
  }
  Finish(narrow.empty() ? r_ : state.Narrowed(), fit);
  double excess = fit.excess;
  fit.excess_after_sweep.assign(gains.size() + 1, excess);
  for (size_t sweep = gains.size(); sweep > 0; --sweep) {
    fit.excess_after_sweep[sweep - 1] = excess += gains[sweep - 1];
  }
  return fit;
}

void ReducedRank::Finish(const Regression& narrowed, ReducedRankFit& fit) const {
  const bool full = narrowed.c.size(0) == r_.c.size(0);
  fit.output = solution_, fit.damping = damping_, fit.condition = condition_;
  if (!full) {
    const Factor factor = CholeskyEscalated(narrowed.c, "Gram matrix of kept value channels");
    fit.output = CholeskySolve(factor, narrowed.b);
    fit.damping = factor.damping;
    fit.condition = ConditionOf(factor);
    // At the best W the penalised error is a constant less <W, B>.
    fit.excess = std::max(0.0, Dot(solution_, r_.b) - Dot(fit.output, narrowed.b));
  }
  double penalty = 0;  // ||Z W - W_old||^2
  int64_t row = 0;
  for (int64_t j = 0; j < heads(); ++j) {
    const Tensor& value = fit.value[static_cast<size_t>(j)];
    for (int64_t i = 0; i < queries_[static_cast<size_t>(j)]; ++i, row += value.size(1)) {
      const Tensor old = w_old_.narrow(0, (FirstQuery(j) + i) * width_, width_);
      const Tensor own = fit.output.narrow(0, row, value.size(1));
      penalty += (at::matmul(value, own) - old).square().sum().item<double>();
    }
  }
  // ||T - Y Z W||^2 + ridge ||Z W - W_old||^2 from the normal equations of both together.
  const double penalised = r_.target_norm + ridge_ * Dot(w_old_, w_old_) -
                           2 * Dot(fit.output, narrowed.b) +
                           Dot(fit.output, at::matmul(narrowed.c, fit.output));
  fit.squared_error = std::max(0.0, penalised - ridge_ * penalty);
  fit.squared_norm = r_.target_norm;
}

}  // namespace condense
