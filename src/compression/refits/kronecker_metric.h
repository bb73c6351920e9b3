// The metric in which a step of a refit of whole modules (gauss_newton.h) is solved, and the
// solution.
//
// K takes J^T J apart into the blocks of the maps, each the Gram matrix of the map's inputs beside
// the energies of its outputs: Kronecker factors as in Martens and Grosse, arXiv 1503.05671, with a
// diagonal on the side of the outputs. It is the ridge of a step as well as the preconditioner.
// Therefore it is only ever solved with: with z = K^-1 r and p = z + beta p_before, the product K p
// is r + beta K p_before.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "compression/refits/map_change.h"

namespace condense {

// The lower Cholesky factor of gram + damping * mean(diag) * I, in the type of `gram` [n, n], which
// is used up. The damping grows tenfold where the factorisation fails, in float32 for instance.
// NumericError, naming `what`, if a value is not finite or no damping up to mean(diag) helps.
Tensor DampedFactor(Tensor gram, double damping, const std::string& what);

class KroneckerMetric {
 public:
  struct Block {
    Tensor outputs;  // energies [out], means over rows; undefined: ones
    Tensor lower;    // factor of the Gram matrix of the inputs, which is a sum over rows [in, in]
  };
  // rows: their weight, which is the curvature of a bias beside `outputs`.
  KroneckerMetric(std::vector<Block> blocks, double rows)
      : blocks_(std::move(blocks)), rows_(rows) {}

  // solution <- K^-1 right; tensors of `solution` are written in place.
  void Solve(const Change& right, Change& solution) const;

 private:
  std::vector<Block> blocks_;
  double rows_;
};

// What becomes of a solution after one more iteration.
enum class Verdict { kGoOn, kEnough, kTakeBack };

struct StepProblem {
  const KroneckerMetric& metric;
  double ridge = 0;
  int64_t iterations = 0;  // at most
  // sum += J^T J change.
  std::function<void(const Change& change, Change& sum)> add_curvature;
  // Null: all iterations are made.
  std::function<Verdict(const Change& step)> judge = {};
};
// argmin over m of <m, J^T J m> / 2 - <gradient, m> + ridge <m, K m> / 2, as far as the iterations
// of preconditioned conjugate gradients go. The gradient is used up. In memory are five changes.
Change SolveInMetric(const StepProblem& problem, Change gradient);

}  // namespace condense
