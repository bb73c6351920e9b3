// Value subspaces and the output projection of all heads together, by reduced-rank regression.
//
// Y [N, n_h d_h] is what the output projection reads, T [N, d] what it should give. A key/value
// head j keeps the channels Y_j P_j, P_j [d_h, k] shared by the query heads of its group, and Z =
// blockdiag(P) leaves ||T - Y Z W||^2 + ridge ||Z W - W_old||^2 to be minimised over P and W. For
// one head among fixed others the best P has a closed form (multi-head attention), or comes from
// alternating least squares (grouped queries). Every head starts from its best among full others;
// then they are visited in turn: one after the other, or, where there are many, in groups that one
// inverse serves.
//
// Everything is a function of the normal equations. Solves with d right-hand sides are made for W
// alone; a visit takes products, and a factor of what the other heads keep.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "compression/solvers/regression.h"

namespace condense {

struct ReducedRankOptions {
  double relative_ridge = 1e-4;  // of mean(diag C), towards W_old
  int64_t sweeps = 2;            // visits of each head
  int64_t rounds = 2;            // of alternating least squares at a visit, with grouped queries
  // Heads that are visited at the same time; unless given as many as do no harm.
  std::optional<int64_t> together;
  bool balance = true;  // keep the root mean square of the dense channels of Y
};

struct ReducedRankFit {
  // P of each key/value head [d_h, k]: W_V' = W_V P. The identity at full width.
  std::vector<Tensor> value;
  std::vector<int64_t> queries;  // query heads of each
  Tensor output;                 // W_O' [sum over query heads of k, d]
  // What the subspaces add to the penalised squared error, from full width with the best W on.
  double excess = 0;
  std::vector<double> excess_after_sweep;  // of the start and of each sweep; never increases
  double squared_error = 0;                // ||T - Y Z W||^2, without the ridge
  double squared_norm = 0;                 // ||T||^2
  double damping = 0;                      // absolute, beyond the ridge
  double condition = 1;                    // of Z^T C Z: a lower bound

  // rows [..., n_h d_h] -> rows Z [..., sum of k], as for the mean of Y behind an intercept.
  Tensor Narrow(const Tensor& rows) const;
};

class ReducedRank {
 public:
  // queries: query heads of each key/value head, side by side in Y. w_old: [n_h d_h, d].
  ReducedRank(Regression r, const Tensor& w_old, std::vector<int64_t> queries,
              const ReducedRankOptions& options);

  // For each key/value head [d_h]: what every further direction takes off the penalised squared
  // error while the other heads are full; what PooledWidths() wants. The excess of a fit in which
  // this head alone has width k is the tail from k on: exactly with one query head, else at most.
  const std::vector<Tensor>& spectra() const { return spectra_; }

  // Widths of the key/value heads.
  ReducedRankFit Fit(const std::vector<int64_t>& widths) const;

 private:
  int64_t heads() const { return static_cast<int64_t>(queries_.size()); }
  int64_t FirstQuery(int64_t j) const;
  int64_t Together() const;
  // P with the balance that was asked for.
  Tensor Balanced(int64_t j, const Tensor& subspace) const;
  void SolveFull();
  // The last solve: W, and the errors.
  void Finish(const Regression& narrowed, ReducedRankFit& fit) const;

  Regression r_;  // C + ridge, B + ridge W_old
  Tensor w_old_;
  std::vector<int64_t> queries_;
  ReducedRankOptions options_;
  int64_t width_ = 0;                   // d_h
  double ridge_ = 0;                    // absolute
  double damping_ = 0, condition_ = 1;  // of full width
  Tensor solution_;                     // the best W at full width
  std::vector<Tensor> directions_;      // of each head among full others, in order of importance
  std::vector<Tensor> spectra_;
};

}  // namespace condense
