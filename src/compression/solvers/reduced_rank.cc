#include "compression/solvers/reduced_rank.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "compression/solvers/head_subspace.h"
#include "compression/solvers/refit.h"
#include "compression/solvers/value_output.h"
#include "tensor/in_place_factor.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

constexpr double kBalanceDelta = 1e-10;  // below this share of the mean energy: no data

// x [..., g d_h] -> x (I_g x P) [..., g k]
Tensor TimesBlocks(const Tensor& x, const Tensor& subspace) {
  return at::matmul(x.unflatten(-1, {-1, subspace.size(0)}), subspace).flatten(-2);
}

// Heads that are visited together see each other as they were: at most so many, and at most this
// part of all heads, with which two sweeps come within a percent of one head at a time. Fewer than
// the least take longer in a group than alone.
constexpr int64_t kMostTogether = 8, kLeastTogether = 3, kPartTogether = 4;
// Rounding of a sum of squares.
constexpr double kRounding = 1e-12;

// The subspaces so far, with C Z, Z^T B and Z^T C Z beside them. Widths are fixed, so every head has
// its columns in its own place.
class State {
 public:
  State(const Regression& r, const std::vector<int64_t>& queries, int64_t width,
        const std::vector<int64_t>& widths, std::vector<Tensor> values)
      : r_(r), queries_(queries), width_(width), widths_(widths) {
    const int64_t query_heads = r.c.size(0) / width;
    const int64_t most = *std::max_element(widths.begin(), widths.end());
    std::vector<Tensor> places;
    int64_t query = 0, column = 0;
    for (size_t j = 0; j < queries.size(); ++j) {
      first_query_.push_back(query);
      first_.push_back(column);
      for (int64_t i = 0; i < queries[j]; ++i, ++query) {
        places.push_back(
            at::arange(query * most, query * most + widths[j], r.c.options().dtype(kI64)));
      }
      column += queries[j] * widths[j];
    }
    places_ = at::cat(places);
    padded_ = at::zeros({query_heads, width, most}, r.c.options());
    cz_ = at::empty({r.c.size(0), column}, r.c.options());
    zb_ = at::empty({column, r.b.size(1)}, r.c.options());
    gram_ = at::empty({column, column}, r.c.options());
    value_.resize(queries.size());
    std::vector<int64_t> all(queries.size());
    std::iota(all.begin(), all.end(), 0);
    Set(all, values);
  }

  const std::vector<Tensor>& values() const { return value_; }
  const Tensor& value(int64_t j) const { return value_[static_cast<size_t>(j)]; }

  // subspaces: of these heads.
  void Set(const std::vector<int64_t>& heads, const std::vector<Tensor>& subspaces) {
    for (size_t i = 0; i < heads.size(); ++i) {
      const int64_t j = heads[i], k = subspaces[i].size(1);
      value_[static_cast<size_t>(j)] = subspaces[i];
      padded_.narrow(0, FirstQuery(j), Queries(j)).narrow(2, 0, k).copy_(subspaces[i]);
      cz_.narrow(1, First(j), Count(j)).copy_(TimesBlocks(Rows(r_.c, j).t(), subspaces[i]));
      zb_.narrow(0, First(j), Count(j)).copy_(TimesBlocks(Rows(r_.b, j).t(), subspaces[i]).t());
    }
    for (const int64_t j : heads) {
      // Z^T of these columns: all heads padded to one width.
      const Tensor own = cz_.narrow(1, First(j), Count(j)).reshape({-1, width_, Count(j)});
      const Tensor block =
          at::bmm(padded_.transpose(1, 2), own).flatten(0, 1).index_select(0, places_);
      gram_.narrow(1, First(j), Count(j)).copy_(block);
      gram_.narrow(0, First(j), Count(j)).copy_(block.t());
    }
  }

  // The normal equations of head j once the others have explained what they can.
  HeadSubspace Beside(int64_t j) const {
    const Tensor others =
        at::cat({at::arange(First(j), places_.options()),
                 at::arange(First(j) + Count(j), gram_.size(0), places_.options())});
    if (others.size(0) == 0) return Explained(j, {});
    const Factor factor = CholeskyEscalated(gram_.index_select(0, others).index_select(1, others),
                                            "channels of other heads");
    const Tensor cross = Rows(cz_, j).index_select(1, others);  // [g d_h, K]
    Tensor x = at::zeros({gram_.size(0), cross.size(0)}, cross.options());
    x.index_copy_(0, others, CholeskySolve(factor, cross.t()));
    return Explained(j, x);
  }

  // The same of several heads, from one inverse M of Z^T C Z: what explains the columns c of head j
  // without its own channels is M c - M_:j (M_jj)^-1 (M c)_j.
  std::vector<HeadSubspace> Beside(const std::vector<int64_t>& heads) const {
    Tensor inverse = gram_.clone();
    InPlaceFactor(inverse, 0, "channels of all heads").Invert();
    inverse = inverse.tril() + inverse.tril(-1).t();
    std::vector<HeadSubspace> all;
    for (const int64_t j : heads) {
      const Tensor own = inverse.narrow(1, First(j), Count(j));
      Tensor x = at::mm(inverse, Rows(cz_, j).t());  // [K, g d_h]
      const Factor corner = CholeskyEscalated(own.narrow(0, First(j), Count(j)).contiguous(),
                                              "inverse Gram matrix of a head's channels");
      x.addmm_(own, CholeskySolve(corner, x.narrow(0, First(j), Count(j))), 1, -1);
      x.narrow(0, First(j), Count(j)).zero_();
      all.push_back(Explained(j, x));
    }
    return all;
  }

  // <Z^T B, (Z^T C Z)^-1 Z^T B>: what all heads explain together.
  double Energy() const {
    Tensor right = zb_.clone();
    return InPlaceFactor(gram_.clone(), 0, "channels of all heads").Energy(right);
  }

  // Z^T C Z and Z^T B of all heads.
  Regression Narrowed() const { return {.c = Symmetrised(gram_), .b = zb_}; }

 private:
  int64_t FirstQuery(int64_t j) const { return first_query_[static_cast<size_t>(j)]; }
  int64_t Queries(int64_t j) const { return queries_[static_cast<size_t>(j)]; }
  // The columns of a head.
  int64_t First(int64_t j) const { return first_[static_cast<size_t>(j)]; }
  int64_t Count(int64_t j) const { return Queries(j) * widths_[static_cast<size_t>(j)]; }
  // The rows of a head, of a matrix with rows for all.
  Tensor Rows(const Tensor& x, int64_t j) const {
    return x.narrow(0, FirstQuery(j) * width_, Queries(j) * width_);
  }
  // x [K, g d_h]: what makes the inputs of the head out of the channels of the others.
  HeadSubspace Explained(int64_t j, const Tensor& x) const {
    Tensor c = Rows(Rows(r_.c, j).t(), j), b = Rows(r_.b, j);
    if (x.defined()) {
      c = c - at::mm(Rows(cz_, j), x);
      b = b - at::mm(x.t(), zb_);
    }
    return HeadSubspace(c, at::mm(b, b.t()), Queries(j));
  }

  const Regression& r_;
  const std::vector<int64_t>& queries_;
  int64_t width_;
  std::vector<int64_t> widths_, first_query_, first_;
  Tensor places_;  // [K] int64: of each column in [query heads, widest]
  Tensor padded_;  // P of each query head, filled up with zeros: [query heads, d_h, widest]
  Tensor cz_;      // C Z [n_h d_h, K]
  Tensor zb_;      // Z^T B [K, d]
  Tensor gram_;    // Z^T C Z [K, K]
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
  Tensor inverse = r_.c.clone(at::MemoryFormat::Contiguous);
  InPlaceFactor factor(inverse, 0, "Gram matrix of the output projection's inputs");
  damping_ = factor.damping();
  condition_ = factor.Condition();
  solution_ = r_.b.clone();
  factor.Solve(solution_);
  // With the others full, C~ = ((C^-1)_jj)^-1 and B~ = C~ (C^-1 B)_j: one inverse for all heads.
  factor.Invert();
  for (int64_t j = 0; j < heads(); ++j) {
    const int64_t g = queries_[static_cast<size_t>(j)];
    const int64_t first = FirstQuery(j) * width_, count = g * width_;
    // Its lower triangle is all that is read.
    const Tensor corner = inverse.narrow(0, first, count).narrow(1, first, count);
    const Tensor c = InverseOfFactor(CholeskyEscalated(corner, "inverse Gram matrix of a head"));
    const Tensor b = at::matmul(c, solution_.narrow(0, first, count));
    const HeadSubspace head(c, at::matmul(b, b.t()), g);
    directions_.push_back(head.directions());
    spectra_.push_back(head.Spectrum());
  }
}

namespace {

// Visits of the narrow heads. Each sweep returns what it gained, which is never negative.
class Visits {
 public:
  using Balance = std::function<Tensor(int64_t head, const Tensor& subspace)>;
  Visits(State& state, std::vector<int64_t> narrow, int64_t rounds, Balance balance)
      : state_(state), narrow_(std::move(narrow)), rounds_(rounds), balance_(std::move(balance)) {}

  // One head after the other: each change is a gain.
  double Sweep() {
    double gain = 0;
    for (const int64_t j : narrow_) gain += Visit({j}, {state_.Beside(j)});
    return gain;
  }

  // So many at a time.
  double SweepInGroups(int64_t together) {
    if (!energy_) energy_ = state_.Energy();
    const std::vector<Tensor> before = state_.values();
    const auto count = static_cast<int64_t>(narrow_.size());
    for (int64_t first = 0; first < count; first += together) {
      const std::vector<int64_t> group(narrow_.begin() + first,
                                       narrow_.begin() + std::min(count, first + together));
      Visit(group, state_.Beside(group));
    }
    double gain = state_.Energy() - *energy_;
    if (gain < -kRounding * *energy_) {
      // Together they have gone past each other.
      std::vector<int64_t> all(before.size());
      std::iota(all.begin(), all.end(), 0);
      state_.Set(all, before);
      gain = Sweep();
    }
    gain = std::max(0.0, gain);
    *energy_ += gain;
    return gain;
  }

 private:
  // beside: of each of these heads. What they gain if only one of them changes, summed.
  double Visit(const std::vector<int64_t>& heads, const std::vector<HeadSubspace>& beside) {
    double gain = 0;
    std::vector<int64_t> changed;
    std::vector<Tensor> subspaces;
    for (size_t i = 0; i < heads.size(); ++i) {
      const HeadSubspace& head = beside[i];
      const Tensor present = state_.value(heads[i]);
      const double loss = head.Loss(present);
      Tensor start = head.directions().narrow(1, 0, present.size(1));
      // Of grouped queries this is a guess, and what there is may be better.
      if (loss < head.Loss(start)) start = present;
      const Tensor subspace = head.Improved(start, rounds_);
      const double after = head.Loss(subspace);
      if (!(after < loss)) continue;
      gain += loss - after;
      changed.push_back(heads[i]);
      subspaces.push_back(balance_(heads[i], SignFixedColumns(subspace)));
    }
    state_.Set(changed, subspaces);
    return gain;
  }

  State& state_;
  std::vector<int64_t> narrow_;
  int64_t rounds_;
  Balance balance_;
  std::optional<double> energy_;  // what all heads explain
};

}  // namespace

// How many heads are visited at a time.
int64_t ReducedRank::Together() const {
  if (options_.together) return *options_.together;
  const int64_t part = std::min(kMostTogether, heads() / kPartTogether);
  return part < kLeastTogether ? 1 : part;
}

ReducedRankFit ReducedRank::Fit(const std::vector<int64_t>& widths) const {
  CONDENSE_CHECK(widths.size() == queries_.size(), "{} widths for {} heads", widths.size(),
                 queries_.size());
  std::vector<int64_t> narrow;
  std::vector<Tensor> values;
  for (int64_t j = 0; j < heads(); ++j) {
    const int64_t k = widths[static_cast<size_t>(j)];
    CONDENSE_CHECK(k >= 1 && k <= width_, "{} of {} value channels", k, width_);
    if (k == width_) {
      values.push_back(at::eye(width_, r_.c.options()));
      continue;
    }
    narrow.push_back(j);
    values.push_back(Balanced(j, directions_[static_cast<size_t>(j)].narrow(1, 0, k)));
  }
  ReducedRankFit fit;
  fit.queries = queries_;
  std::vector<double> gains;
  if (narrow.empty()) {
    fit.value = std::move(values);
    Finish(r_, fit);
  } else {
    State state(r_, queries_, width_, widths, values);
    Visits visits(state, narrow, options_.rounds,
                  [&](int64_t j, const Tensor& subspace) { return Balanced(j, subspace); });
    for (int64_t i = 0; i < options_.sweeps; ++i) {
      gains.push_back(Together() > 1 ? visits.SweepInGroups(Together()) : visits.Sweep());
    }
    fit.value = state.values();
    Finish(state.Narrowed(), fit);
  }
  double excess = fit.excess;
  fit.excess_after_sweep.assign(gains.size() + 1, excess);
  for (size_t i = gains.size(); i > 0; --i) {
    fit.excess_after_sweep[i - 1] = excess += gains[i - 1];
  }
  return fit;
}

void ReducedRank::Finish(const Regression& narrowed, ReducedRankFit& fit) const {
  const bool full = narrowed.c.size(0) == r_.c.size(0);
  fit.output = solution_, fit.damping = damping_, fit.condition = condition_;
  if (!full) {
    const InPlaceFactor factor(narrowed.c.clone(at::MemoryFormat::Contiguous), 0,
                               "Gram matrix of kept value channels");
    fit.output = narrowed.b.clone();
    factor.Solve(fit.output);
    fit.damping = factor.damping();
    fit.condition = factor.Condition();
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
  // ||T - Y Z W||^2 + ridge ||Z W - W_old||^2 from the normal equations of both together, whose W
  // has <W, C W> = <W, B> - damping ||W||^2.
  const double penalised = r_.target_norm + ridge_ * Dot(w_old_, w_old_) -
                           Dot(fit.output, narrowed.b) - fit.damping * Dot(fit.output, fit.output);
  fit.squared_error = std::max(0.0, penalised - ridge_ * penalty);
  fit.squared_norm = r_.target_norm;
}

}  // namespace condense
