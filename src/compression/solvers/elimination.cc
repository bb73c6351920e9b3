#include "compression/solvers/elimination.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "kernels/elimination_block.h"
#include "tensor/in_place_factor.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// What went, piece by piece, on the host.
Elimination Removed(const std::vector<Tensor>& order, const std::vector<Tensor>& costs,
                    double damping) {
  Elimination result{.order = {}, .costs = at::zeros({0}, at::TensorOptions().dtype(kF64))};
  result.damping = damping;
  if (order.empty()) return result;
  const Tensor all = at::cat(order).to(at::kCPU);
  const int64_t* first = all.const_data_ptr<int64_t>();
  result.order.assign(first, first + all.numel());
  result.costs = at::cat(costs).to(at::kCPU);
  return result;
}

// What remains of H = (C + damping I)^-1 and of P = W W^T after compensated removals. They share
// one buffer: H is the lower triangle of columns 0 ... n - 1, P the upper triangle of columns 1 ...
// n, both with their diagonals. W itself is not touched.
class Remainder {
 public:
  // Factorised, without weights so far.
  Remainder(const Tensor& c, double relative_damping)
      : pair_(at::empty({c.size(0), c.size(0) + 1}, c.options())),
        channels_(at::arange(c.size(0), c.options().dtype(kI64))),
        damping_(relative_damping * c.diagonal().mean().item<double>()),
        factor_(pair_.narrow(1, 0, c.size(0)).copy_(c), damping_, "Gram matrix of the channels") {
    damping_ += factor_.damping();
  }

  double damping() const { return damping_; }
  const InPlaceFactor& factor() const { return factor_; }

  void SetWeights(const Tensor& w) {
    factor_.Invert();
    AddToUpper(Products(size()), w, w, /*alpha=*/1, /*beta=*/0);
  }

  Elimination Remove(int64_t count, int64_t block) {
    const int64_t m = size();
    CONDENSE_CHECK(count >= 0 && count <= m && block >= 1, "{} of {} in blocks of {}", count, m,
                   block);
    std::vector<Tensor> order, costs;
    for (int64_t left = count; left > 0;) {
      const int64_t n = size(), steps = std::min(block, left);
      const EliminationBlock removed =
          EliminateBlock(pair_.narrow(0, 0, n).narrow(1, 0, n + 1), channels_, steps);
      if (!(removed.g.min().item<double>() > 0)) {
        throw MakeError<NumericError>(
            "elimination of channels: the inverse of the Gram matrix has lost its digits after {} "
            "of {} removals; raise the damping",
            count - left, count);
      }
      order.push_back(channels_.index_select(0, removed.positions));
      costs.push_back(removed.costs);
      left -= steps;
      if (left > 0) Update(removed);
    }
    return Removed(order, costs, damping_);
  }

 private:
  int64_t size() const { return channels_.size(0); }
  Tensor Inverse(int64_t n) const { return pair_.narrow(0, 0, n).narrow(1, 0, n); }
  Tensor Products(int64_t n) const { return pair_.narrow(0, 0, n).narrow(1, 1, n); }

  // Both matrices without the removed channels, in the first rows and columns.
  void Update(const EliminationBlock& removed) {
    const int64_t steps = removed.positions.size(0), n = size() - steps;
    // The last channels take the places of removed ones. Both sets are put in such an order that
    // what is removed and last stands in the same places of both, where nothing matters any more.
    const Tensor to = std::get<0>(removed.positions.sort());
    const Tensor last = at::arange(n, n + steps, to.options());
    const Tensor stays = last.unsqueeze(1).ne(to).all(1);
    const Tensor from =
        last.index_select(0, std::get<1>(at::sort(stays, /*stable=*/true, 0, /*descending=*/true)));
    Move(from, to, n);
    channels_.index_copy_(0, to, channels_.index_select(0, from));
    channels_ = channels_.narrow(0, 0, n);
    const auto moved = [&](Tensor x) {
      return x.index_copy_(0, to, x.index_select(0, from)).narrow(0, 0, n);
    };
    const Tensor u = moved(removed.u);
    // U V^T + V U^T - U diag(a) U^T = U X^T + X U^T
    const Tensor x = moved(removed.v).sub(u * removed.a, 0.5);
    AddToLower(Inverse(n), u * removed.g, u, -1);
    AddToUpper(Products(n), at::cat({u, x}, 1), at::cat({x, u}, 1), -1);
  }

  // Rows and columns `from`, which are the last ones in some order, to the places `to`. n: how many
  // stay.
  void Move(const Tensor& from, const Tensor& to, int64_t n) {
    const int64_t steps = to.size(0), all = n + steps;
    const Tensor place = at::arange(all, to.options());
    const Tensor tail = from - n;
    // Whole rows of the last channels of a symmetric matrix, of which the part before them and the
    // corner are given.
    const auto rows = [&](const Tensor& before, const Tensor& triangle, const Tensor& strict) {
      const Tensor whole = at::cat({before, triangle + strict.t()}, 1).index_select(0, tail);
      return whole.index_copy(1, to, whole.index_select(1, from));  // [steps, all]
    };
    const Tensor h_corner = Inverse(all).narrow(0, n, steps).narrow(1, n, steps),
                 p_corner = Products(all).narrow(0, n, steps).narrow(1, n, steps);
    const Tensor h =
        rows(Inverse(all).narrow(0, n, steps).narrow(1, 0, n), h_corner.tril(), h_corner.tril(-1));
    const Tensor p = rows(Products(all).narrow(0, 0, n).narrow(1, n, steps).t(), p_corner.triu(),
                          p_corner.triu(1));
    Tensor pair = pair_.narrow(0, 0, all).narrow(1, 0, all + 1);
    // A row of the buffer: H up to its diagonal, then P from its own on.
    const Tensor column = at::arange(all + 1, to.options());
    pair.index_copy_(0, to,
                     at::where(column <= to.unsqueeze(1), at::constant_pad_nd(h, {0, 1}),
                               at::constant_pad_nd(p, {1, 0})));
    const auto set = [&](const Tensor& columns, const Tensor& mask, const Tensor& values) {
      pair.index_copy_(1, columns, at::where(mask, values, pair.index_select(1, columns)));
    };
    set(to, place.unsqueeze(1) > to, h.t());
    set(to + 1, place.unsqueeze(1) < to, p.t());
  }

  Tensor pair_;      // [m, m + 1]
  Tensor channels_;  // [n] int64: of each place that is left
  double damping_ = 0;
  InPlaceFactor factor_;
};

}  // namespace

Elimination EliminateBackward(const Tensor& c, const Tensor& w, int64_t count,
                              const EliminationOptions& options) {
  Remainder rest(c, options.relative_damping);
  rest.SetWeights(w);
  return rest.Remove(count, options.block);
}

Elimination EliminateTowards(const Regression& r, const Tensor& w_old, int64_t count,
                             const EliminationOptions& options) {
  Remainder rest(r.c, options.relative_damping);
  // (C + ridge)^-1 (B + ridge W_old). Rounding moves no more than near-ties of the order.
  Tensor weights = at::add(r.b, w_old, rest.damping());
  rest.factor().Solve(weights);
  rest.SetWeights(weights);
  return rest.Remove(count, options.block);
}

Elimination EliminateGroups(const Tensor& c, const Tensor& w, const Tensor& units, int64_t count,
                            double relative_damping) {
  const int64_t groups = units.size(0), width = units.size(1);
  CONDENSE_CHECK(units.dim() == 2 && count >= 0 && count <= groups, "{} of {} groups", count,
                 groups);
  const Tensor rows = units.to(c.device());
  Tensor inverse = c.clone(at::MemoryFormat::Contiguous);
  InPlaceFactor factor(inverse, relative_damping * c.diagonal().mean().item<double>(),
                       "Gram matrix of the channels");
  const double damping = relative_damping * c.diagonal().mean().item<double>() + factor.damping();
  factor.Invert();
  inverse = inverse.tril() + inverse.tril(-1).t();
  Tensor products = at::mm(w, w.t());
  const auto corners = [&](const Tensor& x) {  // [groups, width, width]
    return x.index({rows.unsqueeze(2), rows.unsqueeze(1)});
  };
  Tensor gone = at::zeros({groups}, c.options().dtype(at::kBool));
  std::vector<Tensor> order, costs;
  for (int64_t step = 0; step < count; ++step) {
    // tr(W_u^T (H_uu)^-1 W_u), with nothing to divide by for what is gone.
    const Tensor own =
        at::where(gone.view({-1, 1, 1}), at::eye(width, c.options()), corners(inverse));
    const Tensor small =
        InverseOfFactor(CholeskyEscalatedBatch(own, "inverse of a group of channels"));
    const Tensor cost = (small * corners(products))
                            .sum({1, 2})
                            .masked_fill_(gone, std::numeric_limits<double>::infinity());
    const Tensor best = cost.argmin(0, /*keepdim=*/true);  // [1]
    order.push_back(best);
    costs.push_back(cost.index_select(0, best));
    gone.index_fill_(0, best, true);
    // As with a channel, E = I - A e^T with A = H_:u (H_uu)^-1.
    const Tensor removed = rows.index_select(0, best).squeeze(0);
    const Tensor columns = inverse.index_select(1, removed);  // [m, width]
    const Tensor change = at::mm(columns, small.index_select(0, best).squeeze(0));
    const Tensor reads = products.index_select(1, removed);
    const Tensor half =
        at::addmm(reads, change, reads.index_select(0, removed), 1, -0.5);  // [m, width]
    products.addmm_(change, half.t(), 1, -1).addmm_(half, change.t(), 1, -1);
    inverse.addmm_(change, columns.t(), 1, -1);
  }
  return Removed(order, costs, damping);
}

}  // namespace condense
