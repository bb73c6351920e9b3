#include "compression/solvers/low_rank.h"

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {

Whitening Whitening::Diagonal(const Tensor& scale) {
  Whitening whitening;
  whitening.scale_ = scale.unsqueeze(1);  // [in, 1]
  const double low = scale.min().item<double>(), high = scale.max().item<double>();
  CONDENSE_CHECK(low > 0, "whitening by {}", low);
  whitening.condition_ = high / low * (high / low);
  return whitening;
}

Whitening Whitening::OfGram(const Tensor& c, double relative_damping, const std::string& what) {
  Whitening whitening;
  const double mean = c.diagonal().mean().item<double>();
  if (mean == 0) return whitening;
  Tensor damped = c;
  if (relative_damping > 0) {
    damped = c.clone();
    damped.diagonal().add_(relative_damping * mean);
  }
  const Factor factor = CholeskyEscalated(damped, what);
  whitening.upper_ = factor.lower.t();
  whitening.damping_ = relative_damping * mean + factor.damping;
  whitening.condition_ = ConditionOf(factor);
  return whitening;
}

Tensor Whitening::Apply(const Tensor& w) const {
  if (upper_.defined()) return at::matmul(upper_, w);
  return scale_.defined() ? scale_ * w : w;
}

LowRank Factorise(const Tensor& w, const Whitening& whitening, int64_t rank,
                  const std::string& what) {
  const Singular svd = SingularValues(whitening.Apply(w), what);
  const int64_t full = svd.values.size(0);
  CONDENSE_CHECK(rank >= 1 && rank <= full, "rank {} of {}", rank, full);
  const Tensor right = svd.right.narrow(1, 0, rank);  // [out, k]
  const Tensor projected = at::matmul(w, right);      // [in, k] = S^-1 U_k diag(s_k)
  // Both factors get columns of one length: half the exponents of float16 would be lost otherwise.
  const Tensor norm = projected.norm(2, at::IntArrayRef{0});  // [k]
  const Tensor balance = at::where(norm > 0, norm, 1.0).sqrt();
  const Tensor energy = svd.values.square();
  return {.a = projected / balance,
          .b = right.t() * balance.unsqueeze(1),
          .squared_error = energy.narrow(0, rank, full - rank).sum().item<double>(),
          .squared_norm = energy.sum().item<double>()};
}

}  // namespace condense
