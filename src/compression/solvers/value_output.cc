#include "compression/solvers/value_output.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

constexpr double kTiny = 1e-300;  // keeps quotients finite where a direction is empty

}  // namespace

Tensor ValueBalance(const Tensor& c_v, const Tensor& subspace, double relative_delta) {
  // B_ii = rms of the dense value channels / rms of channel i; the number of tokens cancels.
  const double mean = c_v.diagonal().mean().item<double>();
  const Tensor energy = (subspace * at::matmul(c_v, subspace)).sum(0);  // [k]
  const Tensor norm = subspace.square().sum(0);
  const Tensor measured = energy > 2 * relative_delta * mean * norm;
  return at::where(measured, (mean / energy.clamp_min(kTiny)).sqrt(),
                   norm.clamp_min(kTiny).rsqrt());
}

ValueSubspaces::ValueSubspaces(const Tensor& c_v, std::vector<Tensor> w_o,
                               const ValueOptions& options)
    : options_(options), c_v_(Symmetrised(c_v)), w_o_(std::move(w_o)) {
  CONDENSE_CHECK(!w_o_.empty() && w_o_[0].size(0) == c_v.size(0), "C_V {}, {} W_O",
                 ShapeString(c_v.sizes()), w_o_.size());
  const int64_t width = c_v.size(0);
  const Tensor identity = at::eye(width, c_v.options());
  Tensor outer = at::zeros_like(c_v_);  // sum over the group of W_O W_O^T
  for (const Tensor& w : w_o_) outer.addmm_(w, w.t());
  const double mean = c_v_.diagonal().mean().item<double>();
  squared_norm_ = (c_v_ * outer).sum().item<double>();
  dead_ = !(mean > 0);
  if (dead_) {
    value_ = identity, output_ = identity;
    spectrum_ = at::zeros({width}, c_v.options());
    return;
  }
  if (!options_.joint) {
    const Eigen eigen = EighDescending(c_v_, "Gram matrix of values");
    value_ = eigen.vectors, output_ = eigen.vectors.t();
    // The directions are orthogonal under C_V, so that errors of dropped ones add up.
    const Tensor gain = (at::matmul(output_, outer) * output_).sum(1);  // ||e_i^T W_O||^2
    spectrum_ = eigen.values.clamp_min(0) * gain;
    return;
  }
  Tensor regular = c_v_.clone();
  regular.diagonal().add_(options_.relative_delta * mean);
  const Roots roots = PsdRoots(regular, "Gram matrix of values");
  const Eigen eigen = EighDescending(
      Symmetrised(at::matmul(roots.root, at::matmul(outer, roots.root))), "value/output matrix");
  value_ = at::matmul(roots.inverse_root, eigen.vectors);
  output_ = at::matmul(eigen.vectors.t(), roots.root);
  spectrum_ = eigen.values.clamp_min(0);
}

ValueSubspace ValueSubspaces::Keep(int64_t k) const {
  CONDENSE_CHECK(k >= 1 && k <= c_v_.size(0), "{} of {} value channels", k, c_v_.size(0));
  Tensor value = value_.narrow(1, 0, k), output = output_.narrow(0, 0, k);
  if (options_.balance && !dead_) {
    const Tensor balance = ValueBalance(c_v_, value, options_.relative_delta);
    value = value * balance;
    output = output / balance.unsqueeze(1);
  }
  ValueSubspace result;
  result.value = value.contiguous();
  for (const Tensor& w : w_o_) result.output.push_back(at::matmul(output, w));
  result.squared_error = spectrum_.narrow(0, k, spectrum_.size(0) - k).sum().item<double>();
  return result;
}

}  // namespace condense
