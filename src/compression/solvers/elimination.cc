#include "compression/solvers/elimination.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

constexpr int64_t kCandidatesPerRemoval = 4;
// The part of the channels that are held whose removal is waited for before they are dropped: a
// copy of what is left against updates of what is not.
constexpr double kDroppedAtOnce = 0.125;

struct Removals {
  std::vector<int64_t> positions;  // among the candidates, in order
  std::vector<double> costs;
};

// Greedy removal of `count` channels among a few. hi: [s, s] of the inverse; products: W W^T [s, s]
// of their weights; both on the CPU and used up.
Removals RemoveAmong(Tensor hi, Tensor products, int64_t count) {
  const int64_t s = hi.size(0);
  Removals removals;
  std::vector<bool> gone(static_cast<size_t>(s), false);
  for (int64_t step = 0; step < count; ++step) {
    const auto inverse = hi.accessor<double, 2>();
    const auto product = products.accessor<double, 2>();
    int64_t best = -1;
    double least = std::numeric_limits<double>::infinity();
    for (int64_t i = 0; i < s; ++i) {
      if (gone[static_cast<size_t>(i)]) continue;
      const double cost = std::max(0.0, product[i][i]) / inverse[i][i];
      if (cost < least || best < 0) least = cost, best = i;
    }
    CONDENSE_CHECK(best >= 0 && inverse[best][best] > 0, "inverse of a Gram matrix");
    gone[static_cast<size_t>(best)] = true;
    removals.positions.push_back(best);
    removals.costs.push_back(least);
    // E = I - Hi_:j e_j^T / Hi_jj takes W to E W, hence W W^T to E W W^T E^T.
    const Tensor column = hi.select(1, best) / inverse[best][best];  // [s]
    const Tensor row = products.select(0, best);
    const double own = product[best][best];
    products = products - at::outer(column, row) - at::outer(row, column) +
               own * at::outer(column, column);
    hi = hi - at::outer(column, hi.select(0, best));
  }
  return removals;
}

// What remains of W and of the inverse after compensated removals.
struct Remainder {
  Tensor weights;  // W [m, out]
  Tensor inverse;  // Hi [m, m]
  double damping = 0;

  // Without weights so far.
  Remainder(const Tensor& c, double relative_damping)
      : damping(relative_damping * c.diagonal().mean().item<double>()) {
    Tensor damped = c.clone();
    damped.diagonal().add_(damping);
    const Factor factor = CholeskyEscalated(damped, "Gram matrix of the channels");
    damping += factor.damping;
    damped.reset();
    inverse = InverseOfFactor(factor);
  }

  // W -= Hi_:R (Hi_RR)^-1 W_R and Hi -= Hi_:R (Hi_RR)^-1 Hi_R:, in place. removed: [b] int64.
  void Remove(const Tensor& removed) {
    const Tensor rows = inverse.index_select(0, removed);  // [b, m]
    const Factor corner = CholeskyEscalated(Symmetrised(rows.index_select(1, removed)),
                                            "inverse of the removed channels");
    weights.addmm_(rows.t(), CholeskySolve(corner, weights.index_select(0, removed)), 1, -1);
    inverse.addmm_(rows.t(), CholeskySolve(corner, rows), 1, -1);
  }

  // Drops all channels but these: [k] int64.
  void Keep(const Tensor& kept) {
    weights = weights.index_select(0, kept);
    inverse = inverse.index_select(0, kept).index_select(1, kept);
  }
};

// Removes `count` single channels.
Elimination RemoveChannels(Remainder rest, int64_t count, int64_t drop_block) {
  const int64_t m = rest.weights.size(0);
  CONDENSE_CHECK(count >= 0 && count <= m && drop_block >= 1, "{} of {} in blocks of {}", count, m,
                 drop_block);
  Elimination result;
  result.damping = rest.damping;
  std::vector<double> costs;
  // Of the channels that are held: which they are, and whether they are still there.
  Indices channels(static_cast<size_t>(m));
  std::iota(channels.begin(), channels.end(), 0);
  Tensor alive = at::ones({m}, rest.weights.options().dtype(at::kBool));
  for (int64_t left = m; left > m - count;) {
    const Tensor energies = at::linalg_vector_norm(rest.weights, 2, 1).square_();
    const Tensor scores = (energies / rest.inverse.diagonal())
                              .masked_fill(alive.logical_not(), std::numeric_limits<double>::max());
    const Indices candidates =
        SmallestIndices(scores, std::min(kCandidatesPerRemoval * drop_block, left));
    const Tensor s = IndexTensor(candidates).to(rest.weights.device());
    const Tensor candidate_weights = rest.weights.index_select(0, s);  // [s, out]
    const Removals removals =
        RemoveAmong(rest.inverse.index_select(0, s).index_select(1, s).to(at::kCPU),
                    at::matmul(candidate_weights, candidate_weights.t()).to(at::kCPU),
                    std::min(drop_block, left - (m - count)));
    Indices block;
    for (const int64_t position : removals.positions) {
      block.push_back(candidates[static_cast<size_t>(position)]);
      result.order.push_back(channels[static_cast<size_t>(block.back())]);
    }
    costs.insert(costs.end(), removals.costs.begin(), removals.costs.end());
    left -= static_cast<int64_t>(block.size());
    if (left == m - count) break;
    const Tensor r = IndexTensor(block).to(rest.weights.device());
    rest.Remove(r);
    alive.index_fill_(0, r, false);
    if (static_cast<double>(left) > (1 - kDroppedAtOnce) * static_cast<double>(channels.size())) {
      continue;
    }
    const Tensor kept = alive.nonzero().flatten();
    rest.Keep(kept);
    alive = at::ones_like(kept, alive.options());
    const Tensor kept_here = kept.to(at::kCPU);
    const auto positions = kept_here.accessor<int64_t, 1>();
    for (int64_t i = 0; i < left; ++i) {
      channels[static_cast<size_t>(i)] = channels[static_cast<size_t>(positions[i])];
    }
    channels.resize(static_cast<size_t>(left));
  }
  result.costs = at::tensor(costs, at::TensorOptions().dtype(kF64));
  return result;
}

}  // namespace

Elimination EliminateBackward(const Tensor& c, const Tensor& w, int64_t count,
                              const EliminationOptions& options) {
  Remainder rest(c, options.relative_damping);
  rest.weights = w.clone(at::MemoryFormat::Contiguous);
  return RemoveChannels(std::move(rest), count, options.drop_block);
}

Elimination EliminateTowards(const Regression& r, const Tensor& w_old, int64_t count,
                             const EliminationOptions& options) {
  Remainder rest(r.c, options.relative_damping);
  // (C + ridge)^-1 (B + ridge W_old), written as a change: exact where the old weights are right.
  rest.weights = (w_old + at::matmul(rest.inverse, r.b - at::matmul(r.c, w_old))).contiguous();
  return RemoveChannels(std::move(rest), count, options.drop_block);
}

Elimination EliminateGroups(const Tensor& c, const Tensor& w, const Tensor& units, int64_t count,
                            double relative_damping) {
  const int64_t groups = units.size(0);
  CONDENSE_CHECK(units.dim() == 2 && count >= 0 && count <= groups, "{} of {} groups", count,
                 groups);
  const Tensor rows = units.to(c.device());
  Remainder rest(c, relative_damping);
  rest.weights = w.clone(at::MemoryFormat::Contiguous);
  Elimination result;
  result.damping = rest.damping;
  std::vector<double> costs;
  std::vector<bool> gone(static_cast<size_t>(groups), false);
  while (static_cast<int64_t>(result.order.size()) < count) {
    int64_t best = -1;
    double least = std::numeric_limits<double>::infinity();
    for (int64_t u = 0; u < groups; ++u) {
      if (gone[static_cast<size_t>(u)]) continue;
      // tr(W_u^T (Hi_uu)^-1 W_u)
      const Tensor own = rest.weights.index_select(0, rows[u]);
      const Factor corner = CholeskyEscalated(
          Symmetrised(rest.inverse.index_select(0, rows[u]).index_select(1, rows[u])),
          "inverse of a group of channels");
      const double cost = (own * CholeskySolve(corner, own)).sum().item<double>();
      if (cost < least || best < 0) least = cost, best = u;
    }
    gone[static_cast<size_t>(best)] = true;
    result.order.push_back(best);
    costs.push_back(least);
    rest.Remove(rows[best]);
  }
  result.costs = at::tensor(costs, at::TensorOptions().dtype(kF64));
  return result;
}

}  // namespace condense
