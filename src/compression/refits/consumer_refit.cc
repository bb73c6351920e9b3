#include "compression/refits/consumer_refit.h"

#include <cmath>

#include "base/error.h"

namespace condense {

StatRequests ConsumerRefitOptions::Requests(Tap tap) const {
  StatRequests requests;
  if (refit != Refit::kNone) requests.insert(Gram(tap));
  if (bias == RefitBias::kIntercept) requests.insert(Mean(tap));
  return requests;
}

namespace {

RefitResult Solve(const ConsumerRefitOptions& options, const Tensor& c, const Tensor& w,
                  const Indices& kept) {
  switch (options.refit) {
    case Refit::kDelta:
      return RefitDelta(c, w, kept, options.mu);
    case Refit::kMinNorm:
      return RefitMinNorm(c, w, kept);
    case Refit::kNone:
      return NoRefit(c, w, kept);
  }
  return {};
}

}  // namespace

ConsumerRefit RefitConsumer(const ConsumerRefitOptions& options, const BlockStatistics& statistics,
                            Tap tap, const Linear& dense, const Indices& kept) {
  CONDENSE_CHECK(!dense.factored(), "a factored consumer");
  const DType dtype = dense.weight.scalar_type();
  const Tensor rows = IndexTensor(kept).to(dense.weight.device());
  const bool intercept = options.bias == RefitBias::kIntercept;
  const Tensor w = dense.weight.t().to(kF64);  // [m, out]; y = h W + b
  Tensor mean;
  if (intercept) mean = statistics.Get(Mean(tap)).to(w.device());

  ConsumerRefit result;
  result.linear.weight = dense.weight.index_select(1, rows);
  result.linear.bias = dense.bias;
  Tensor narrowed = w.index_select(0, rows);
  if (statistics.Has(Gram(tap))) {
    Tensor c = statistics.Get(Gram(tap)).to(w.device());
    if (intercept) c = ShiftedGram(c, mean, mean, statistics.tokens);
    const RefitResult solved = Solve(options, c, w, kept);
    result.damping = solved.damping;
    if (solved.squared_norm > 0) {
      result.relative_error = std::sqrt(solved.squared_error / solved.squared_norm);
    }
    if (options.refit != Refit::kNone) {
      result.condition = solved.condition;
      narrowed = solved.weight;
      result.linear.weight = narrowed.t().to(dtype).contiguous();
    }
  }
  if (intercept) {
    Tensor bias = at::matmul(mean, w) - at::matmul(mean.index_select(0, rows), narrowed);
    if (dense.bias.defined()) bias = bias + dense.bias.to(kF64);
    result.linear.bias = bias.to(dtype);
  }
  return result;
}

}  // namespace condense
