#include "compression/solvers/reduced_rank.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "compression/solvers/head_subspace.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

constexpr double kBalanceDelta = 1e-10;  // below this share of the mean energy: no data

double Dot(const Tensor& a, const Tensor& b) { return (a * b).sum().item<double>(); }

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

  // Undefined: full.
  const Tensor& value(int64_t j) const { return value_[static_cast<size_t>(j)]; }

  void Set(int64_t j, const Tensor& subspace) {
    value_[static_cast<size_t>(j)] = subspace;
    const Tensor columns = Columns({j}), rows = RowsOf(j);
    const Tensor cz = TimesBlocks(r_.c.index_select(1, rows), subspace);  // [n_h d_h, g k]
    cz_.index_copy_(1, columns, cz);
    zb_.index_copy_(0, columns, TimesBlocks(r_.b.index_select(0, rows).t(), subspace).t());
    for (int64_t p = 0; p < heads(); ++p) {
      const Tensor own = cz.index_select(0, RowsOf(p)).t();  // [g k, g_p d_h]
      const Tensor block = value(p).defined() ? TimesBlocks(own, value(p)) : own;
      const Tensor others = Columns({p});
      gram_.index_put_({columns.unsqueeze(1), others}, block);
      gram_.index_put_({others.unsqueeze(1), columns}, block.t());
    }
  }

  // The normal equations of head j once the others have explained what they can.
  HeadSubspace Beside(int64_t j) const {
    const Tensor rows = RowsOf(j);
    Tensor c = r_.c.index_select(0, rows).index_select(1, rows);
    Tensor b = r_.b.index_select(0, rows);
    std::vector<int64_t> others(queries_.size());
    std::iota(others.begin(), others.end(), 0);
    others.erase(others.begin() + j);
    if (!others.empty()) {
      const Tensor o = Columns(others);
      const Factor factor =
          CholeskyEscalated(gram_.index_select(0, o).index_select(1, o), "channels of other heads");
      const Tensor cross = cz_.index_select(0, rows).index_select(1, o);  // [g d_h, K]
      const Tensor x = CholeskySolve(factor, cross.t());                  // [K, g d_h]
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
  Tensor RowsOf(int64_t j) const {
    const int64_t first = FirstQuery(j) * width_;
    return at::arange(first, first + queries_[static_cast<size_t>(j)] * width_,
                      r_.c.options().dtype(kI64));
  }
  // The columns that some heads use.
  Tensor Columns(const std::vector<int64_t>& some) const {
    std::vector<Tensor> parts;
    for (const int64_t j : some) {
      const int64_t k = value(j).defined() ? value(j).size(1) : width_;
      const Tensor slots = RowsOf(j).view({-1, width_});
      parts.push_back(slots.narrow(1, 0, k).flatten());
    }
    return at::cat(parts);
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
  std::vector<Tensor> parts;
  int64_t first = 0;
  for (size_t j = 0; j < value.size(); ++j) {
    const int64_t columns = queries[j] * value[j].size(0);
    parts.push_back(TimesBlocks(rows.narrow(-1, first, columns), value[j]));
    first += columns;
  }
  return at::cat(parts, -1);
}

ReducedRank::ReducedRank(Regression r, const Tensor& w_old, std::vector<int64_t> queries,
                         const ReducedRankOptions& options)
    : r_(std::move(r)), w_old_(w_old), queries_(std::move(queries)), options_(options) {
  const int64_t query_heads = std::accumulate(queries_.begin(), queries_.end(), int64_t{0});
  CONDENSE_CHECK(query_heads > 0 && r_.c.size(0) % query_heads == 0 &&
                     r_.c.size(0) == w_old.size(0) && r_.b.sizes() == w_old.sizes(),
                 "C {}, B {}, W {}, {} query heads", ShapeString(r_.c.sizes()),
                 ShapeString(r_.b.sizes()), ShapeString(w_old.sizes()), query_heads);
  CONDENSE_CHECK(options.sweeps >= 1 && options.rounds >= 0, "{} sweeps, {} rounds", options.sweeps,
                 options.rounds);
  width_ = r_.c.size(0) / query_heads;
  ridge_ = options_.relative_ridge * r_.c.diagonal().mean().item<double>();
  r_.c = Symmetrised(r_.c);
  r_.c.diagonal().add_(ridge_);
  r_.b = r_.b + ridge_ * w_old;
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

std::vector<Tensor> ReducedRank::Spectra() const {
  // With the others full, C~ = ((C^-1)_jj)^-1 and B~ = C~ (C^-1 B)_j: one inverse for all heads.
  const Factor factor = CholeskyEscalated(r_.c, "Gram matrix of the output projection's inputs");
  const Tensor inverse = InverseOfFactor(factor), solution = at::matmul(inverse, r_.b);
  std::vector<Tensor> spectra;
  for (int64_t j = 0; j < heads(); ++j) {
    const int64_t g = queries_[static_cast<size_t>(j)];
    const int64_t first = FirstQuery(j) * width_, count = g * width_;
    const Tensor corner = Symmetrised(inverse.narrow(0, first, count).narrow(1, first, count));
    const Tensor c =
        InverseOfFactor(CholeskyEscalated(corner, "inverse Gram matrix of a head"));  // C~
    const Tensor b = at::matmul(c, solution.narrow(0, first, count));
    spectra.push_back(HeadSubspace(c, at::matmul(b, b.t()), g).Spectrum());
  }
  return spectra;
}

ReducedRankFit ReducedRank::Fit(const std::vector<int64_t>& widths) const {
  CONDENSE_CHECK(widths.size() == queries_.size(), "{} widths for {} heads", widths.size(),
                 queries_.size());
  for (const int64_t width : widths) {
    CONDENSE_CHECK(width >= 1 && width <= width_, "{} of {} value channels", width, width_);
  }
  ReducedRankFit fit;
  fit.queries = queries_;
  State state(r_, queries_, width_);
  for (int64_t sweep = 0; sweep < options_.sweeps; ++sweep) {
    for (int64_t j = 0; j < heads(); ++j) {
      const int64_t k = widths[static_cast<size_t>(j)];
      if (k == width_) continue;
      const HeadSubspace head = state.Beside(j);
      const Tensor& present = state.value(j);
      const double before = present.defined() ? head.Loss(present) : 0;
      Tensor start = head.directions().narrow(1, 0, k);
      // Of grouped queries the start is a guess, and an earlier visit may have found better.
      if (present.defined() && before < head.Loss(start)) start = present;
      const Tensor subspace = head.Improved(start, options_.rounds);
      const double after = head.Loss(subspace);
      if (present.defined() && !(after < before)) continue;
      fit.excess += after - before;
      state.Set(j, Balanced(j, SignFixedColumns(subspace)));
    }
    fit.excess_after_sweep.push_back(fit.excess);
  }

  const Regression narrowed = state.Narrowed();
  const Factor factor = CholeskyEscalated(narrowed.c, "Gram matrix of kept value channels");
  fit.output = CholeskySolve(factor, narrowed.b);
  fit.damping = factor.damping;
  fit.condition = ConditionOf(factor);
  double penalty = 0;  // ||Z W - W_old||^2
  int64_t row = 0;
  for (int64_t j = 0; j < heads(); ++j) {
    const Tensor& subspace = state.value(j);
    fit.value.push_back(subspace.defined() ? subspace : at::eye(width_, r_.c.options()));
    const Tensor& value = fit.value.back();
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
  return fit;
}

}  // namespace condense
