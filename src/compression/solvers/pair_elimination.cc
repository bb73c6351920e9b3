#include "compression/solvers/pair_elimination.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "compression/solvers/query_key.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// G + ridge, and G w0 of the ridged G: the loss and its ridge have their least value, 0, at w0.
struct Metric {
  Tensor matrix;  // [2f, 2f]
  Tensor right;   // [2f]
};

Metric Ridged(const Tensor& metric, double relative_ridge) {
  Metric ridged{.matrix = Symmetrised(metric), .right = {}};
  ridged.matrix.diagonal().add_(relative_ridge * metric.diagonal().mean().item<double>());
  ridged.right = ridged.matrix.narrow(1, 0, metric.size(1) / 2).sum(1);
  return ridged;
}

bool Empty(const Tensor& metric) { return !(metric.diagonal().sum().item<double>() > 0); }

// Gains of what remains of the pairs of all heads, and the inverses of their metrics.
class Remainder {
 public:
  // metric [heads, 2f, 2f]; groups [heads] int64: the key/value head of each.
  Remainder(const Tensor& metric, const Tensor& groups, int64_t count, double relative_ridge)
      : groups_(groups),
        members_(at::arange(count, groups.options()).unsqueeze(1).eq(groups).to(kF64)) {
    const int64_t f = metric.size(1) / 2;
    const Tensor diagonal = metric.diagonal(0, 1, 2);
    const Tensor live = (diagonal.sum(1) > 0).view({-1, 1, 1});
    Tensor ridged = Symmetrised(metric);
    ridged.diagonal(0, 1, 2).add_(diagonal.mean(1, /*keepdim=*/true), relative_ridge);
    // G w0 of the ridged G. An empty head gets gains of zero, which cost nothing.
    const Tensor right = ridged.narrow(2, 0, f).sum(2, /*keepdim=*/true);
    const BatchFactor factor = CholeskyEscalatedBatch(
        at::where(live, ridged, at::eye(2 * f, metric.options())), "metric of query/key pairs");
    damping_ = factor.damping;
    inverse_ = InverseOfFactor(factor);  // [heads, 2f, 2f]
    gains_ =
        CholeskySolve(factor, at::where(live, right, at::zeros_like(right)));  // [heads, 2f, 1]
  }

  double Damping(int64_t first, int64_t count) const {
    return *std::max_element(damping_.begin() + first, damping_.begin() + first + count);
  }

  // w_g^T (H_gg)^-1 w_g of every pair, summed over the heads of a group: [groups, f]. gone [groups,
  // f]: the pairs that are not there any more.
  Tensor Costs(const Tensor& gone) const {
    const int64_t f = inverse_.size(1) / 2;
    const auto entry = [&](int64_t row, int64_t column) {
      return inverse_.narrow(1, row, f).narrow(2, column, f).diagonal(0, 1, 2);  // [heads, f]
    };
    const Tensor a = gains_.narrow(1, 0, f).squeeze(2), b = gains_.narrow(1, f, f).squeeze(2);
    const Tensor aa = entry(0, 0), ab = entry(0, f), bb = entry(f, f);
    const Tensor costs = (bb * a * a - 2 * ab * a * b + aa * b * b) / (aa * bb - ab * ab);
    return at::mm(members_, costs.masked_fill(gone.index_select(0, groups_), 0))
        .masked_fill_(gone, std::numeric_limits<double>::infinity());
  }

  // pairs [groups]: one of each.
  void Remove(const Tensor& pairs) {
    const int64_t width = inverse_.size(1);
    const Tensor own = pairs.index_select(0, groups_);            // [heads]
    const Tensor at_pair = at::stack({own, own + width / 2}, 1);  // [heads, 2]
    const Tensor rows = inverse_.gather(1, at_pair.unsqueeze(2).expand({-1, -1, width}));
    const Tensor corner = rows.gather(2, at_pair.unsqueeze(1).expand({-1, 2, -1}));
    const Tensor step =
        at::bmm(rows.transpose(1, 2), std::get<0>(at::linalg_inv_ex(corner)));  // [heads, 2f, 2]
    gains_.baddbmm_(step, gains_.gather(1, at_pair.unsqueeze(2)), 1, -1);
    inverse_.baddbmm_(step, rows, 1, -1);
  }

 private:
  Tensor groups_, members_;  // [groups, heads]: 1 where a head belongs to a group
  Tensor inverse_, gains_;
  std::vector<double> damping_;
};

// (w - w0)^T G (w - w0) and w0^T G w0, w = (a, b) on `pairs` and zero elsewhere.
PairGain WithErrors(const Tensor& metric, const Tensor& kept, const Tensor& a, const Tensor& b) {
  const int64_t f = metric.size(0) / 2;
  Tensor change = at::zeros({2 * f}, metric.options());
  change.index_copy_(0, kept, a).index_copy_(0, kept + f, b);
  change.narrow(0, 0, f) -= 1;
  PairGain gain;
  gain.map = ComplexGainMap(kept, 2 * f, a, b);
  gain.squared_error = std::max(0.0, change.dot(at::mv(metric, change)).item<double>());
  gain.squared_norm = metric.narrow(0, 0, f).narrow(1, 0, f).sum().item<double>();
  return gain;
}

Tensor KeptTensor(const Tensor& metric, const Indices& pairs) {
  CONDENSE_CHECK(metric.dim() == 2 && metric.size(0) == metric.size(1) && !pairs.empty(),
                 "metric {}, {} pairs", ShapeString(metric.sizes()), pairs.size());
  return IndexTensor(pairs).to(metric.device());
}

}  // namespace

std::vector<Elimination> EliminatePairs(const Tensor& metric, const std::vector<int64_t>& queries,
                                        double relative_ridge) {
  const auto count = static_cast<int64_t>(queries.size());
  const int64_t heads = std::accumulate(queries.begin(), queries.end(), int64_t{0});
  CONDENSE_CHECK(metric.dim() == 3 && metric.size(0) == heads && metric.size(1) == metric.size(2) &&
                     metric.size(1) % 2 == 0,
                 "metrics {} of {} query heads", ShapeString(metric.sizes()), heads);
  const int64_t f = metric.size(1) / 2;
  const Tensor groups =
      at::arange(count, kI64).repeat_interleave(IndexTensor(queries)).to(metric.device());
  Remainder rest(metric, groups, count, relative_ridge);
  Tensor gone = at::zeros({count, f}, metric.options().dtype(at::kBool));
  std::vector<Tensor> order, costs;
  for (int64_t step = 0; step < f; ++step) {
    const Tensor all = rest.Costs(gone);                   // [groups, f]
    const Tensor pairs = all.argmin(1, /*keepdim=*/true);  // [groups, 1]
    order.push_back(pairs);
    costs.push_back(all.gather(1, pairs).clamp_min_(0));
    rest.Remove(pairs.squeeze(1));
    gone.scatter_(1, pairs, true);
  }
  const Tensor orders = at::cat(order, 1).to(at::kCPU), sums = at::cat(costs, 1).to(at::kCPU);
  std::vector<Elimination> result;
  int64_t first = 0;
  for (int64_t j = 0; j < count; ++j) {
    const int64_t* own = orders.const_data_ptr<int64_t>() + j * f;
    const int64_t g = queries[static_cast<size_t>(j)];
    result.push_back({.order = Indices(own, own + f),
                      .costs = sums[j].clone(),
                      .damping = rest.Damping(first, g)});
    first += g;
  }
  return result;
}

Indices LastOf(const Elimination& elimination, int64_t kept) {
  const auto count = static_cast<int64_t>(elimination.order.size());
  CONDENSE_CHECK(kept >= 0 && kept <= count, "{} of {} units", kept, count);
  Indices last(elimination.order.end() - kept, elimination.order.end());
  std::sort(last.begin(), last.end());
  return last;
}

Tensor GainsOf(const Elimination& elimination) { return elimination.costs.flip(0); }

PairGain FitPairGain(const Tensor& metric, const Indices& pairs, double relative_ridge) {
  // A head without queries or keys has nothing to fit; it is left as it is.
  if (Empty(metric)) return NoPairGain(metric, pairs);
  const Tensor kept = KeptTensor(metric, pairs);
  const int64_t f = metric.size(0) / 2, k = kept.size(0);
  const Tensor rows = at::cat({kept, kept + f});
  const Metric ridged = Ridged(metric, relative_ridge);
  const Factor factor = CholeskyEscalated(ridged.matrix.index_select(0, rows).index_select(1, rows),
                                          "metric of kept query/key pairs");
  const Tensor solution =
      CholeskySolve(factor, ridged.right.index_select(0, rows).unsqueeze(1)).squeeze(1);
  PairGain gain = WithErrors(metric, kept, solution.narrow(0, 0, k), solution.narrow(0, k, k));
  gain.damping = factor.damping;
  return gain;
}

PairGain NoPairGain(const Tensor& metric, const Indices& pairs) {
  const Tensor kept = KeptTensor(metric, pairs);
  const Tensor ones = at::ones({kept.size(0)}, metric.options());
  return WithErrors(metric, kept, ones, at::zeros_like(ones));
}

}  // namespace condense
