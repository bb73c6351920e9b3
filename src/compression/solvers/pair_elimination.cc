#include "compression/solvers/pair_elimination.h"

#include <algorithm>
#include <limits>

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

// Gains of what remains of the pairs of some query heads, and the inverse of their metrics.
class Remainder {
 public:
  // Heads of which none is empty: [heads, 2f, 2f].
  Remainder(const std::vector<Tensor>& metrics, double relative_ridge) {
    std::vector<Tensor> inverses, gains;
    for (const Tensor& metric : metrics) {
      const Metric ridged = Ridged(metric, relative_ridge);
      const Factor factor = CholeskyEscalated(ridged.matrix, "metric of query/key pairs");
      damping_ = std::max(damping_, factor.damping);
      inverses.push_back(InverseOfFactor(factor));
      gains.push_back(CholeskySolve(factor, ridged.right.unsqueeze(1)));
    }
    inverse_ = at::stack(inverses);  // [heads, 2f, 2f]
    gains_ = at::stack(gains);       // [heads, 2f, 1]
  }

  double damping() const { return damping_; }

  // w_g^T (H_gg)^-1 w_g of every pair, summed over the heads: [f]. Of removed pairs: anything.
  Tensor Costs() const {
    const int64_t f = inverse_.size(1) / 2;
    const auto entry = [&](int64_t row, int64_t column) {
      return inverse_.narrow(1, row, f).narrow(2, column, f).diagonal(0, 1, 2);  // [heads, f]
    };
    const Tensor a = gains_.narrow(1, 0, f).squeeze(2), b = gains_.narrow(1, f, f).squeeze(2);
    const Tensor aa = entry(0, 0), ab = entry(0, f), bb = entry(f, f);
    return ((bb * a * a - 2 * ab * a * b + aa * b * b) / (aa * bb - ab * ab)).sum(0);
  }

  void Remove(int64_t pair) {
    const int64_t f = inverse_.size(1) / 2;
    const Tensor group = at::tensor({pair, pair + f}, at::TensorOptions().dtype(kI64));
    const Tensor rows = inverse_.index_select(1, group);             // [heads, 2, 2f]
    const Tensor corner = at::inverse(rows.index_select(2, group));  // [heads, 2, 2]
    const Tensor step = at::bmm(rows.transpose(1, 2), corner);       // [heads, 2f, 2]
    gains_.baddbmm_(step, gains_.index_select(1, group), 1, -1);
    inverse_.baddbmm_(step, rows, 1, -1);
  }

 private:
  Tensor inverse_, gains_;
  double damping_ = 0;
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

Elimination EliminatePairs(const Tensor& metric, double relative_ridge) {
  CONDENSE_CHECK(metric.dim() == 3 && metric.size(1) == metric.size(2) && metric.size(1) % 2 == 0,
                 "metrics {}", ShapeString(metric.sizes()));
  const int64_t f = metric.size(1) / 2;
  std::vector<Tensor> live;
  for (const Tensor& head : metric.to(at::kCPU).unbind(0)) {
    if (!Empty(head)) live.push_back(head);
  }
  Elimination result;
  result.costs = at::zeros({f}, at::TensorOptions().dtype(kF64));
  if (live.empty()) {
    result.order = Complement({}, f);
    return result;
  }
  Remainder rest(live, relative_ridge);
  result.damping = rest.damping();
  Tensor gone = at::zeros({f}, at::TensorOptions().dtype(at::kBool));
  for (int64_t step = 0; step < f; ++step) {
    const Tensor costs = rest.Costs().masked_fill(gone, std::numeric_limits<double>::infinity());
    const auto pair = costs.argmin().item<int64_t>();
    result.order.push_back(pair);
    result.costs[step] = costs[pair].clamp_min(0);
    rest.Remove(pair);
    gone[pair] = true;
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
