// Eigenvalues, roots, Cholesky factors and orthogonal matrices in float64 (methods.md 0.5, 7.3).
#include "tensor/linalg.h"

#include <c10/util/Exception.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace condense {
namespace {

void CheckSquare(const Tensor& a, const std::string& what) {
  CONDENSE_CHECK(a.scalar_type() == kF64, "{}: {} instead of float64", what,
                 DTypeName(a.scalar_type()));
  CONDENSE_CHECK(a.dim() >= 2 && a.size(-1) == a.size(-2), "{}: shape {} is not square", what,
                 ShapeString(a.sizes()));
}

// First message line of a LibTorch error: the rest is a stack trace.
std::string Reason(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return text.substr(0, text.find('\n'));
}

std::string IndexString(const Tensor& bad) {
  const Tensor first = at::nonzero(bad)[0].to(at::kCPU).contiguous();  // [dims]
  return ShapeString({first.const_data_ptr<int64_t>(), static_cast<size_t>(first.numel())});
}

// Lowest and highest eigenvalue, for the error message of a factorisation that failed.
std::string SpectrumString(const Tensor& symmetric) {
  try {
    const Tensor values = at::linalg_eigvalsh(symmetric);
    return fmt::format("eigenvalues from {:.3e} to {:.3e}", values.min().item<double>(),
                       values.max().item<double>());
  } catch (const c10::Error&) {
    return "eigenvalues not computable";
  }
}

// The factor of a matrix that has none without damping.
Factor Damped(const Tensor& a, const std::string& what) {
  RequireFinite(a, what);
  const double mean = a.diagonal().mean().item<double>();
  Tensor damped = a.clone();
  for (const double step : kCholeskyEscalation) {
    const double damping = step * mean;
    // A diagonal that is zero or negative on average gives no scale to damp with.
    if (!(damping > 0)) continue;
    damped.copy_(a).diagonal().add_(damping);
    const auto [lower, info] = at::linalg_cholesky_ex(damped, /*upper=*/false, /*check=*/false);
    if (info.item<int64_t>() == 0) return {lower, damping};
  }
  ThrowNotPositiveDefinite(a, what);
}

// Eigenvalues with a mark for those that are numerically zero or negative: below n 2^-52 sigma_max.
struct Spectrum {
  Tensor values, vectors;
  Tensor kept;  // [..., n] bool
};

Spectrum SpectrumOf(const Tensor& a, const std::string& what) {
  const Eigen eigen = EighDescending(a, what);
  const double unit = static_cast<double>(a.size(-1)) * std::numeric_limits<double>::epsilon();
  const Tensor largest = eigen.values.narrow(-1, 0, 1).clamp_min(0);  // [..., 1]
  // Strictly above zero as well, so that the zero matrix keeps nothing.
  const Tensor kept = (eigen.values >= largest * unit).logical_and(eigen.values > 0);
  return {eigen.values, eigen.vectors, kept};
}

// V diag(weights) V^T
Tensor Recompose(const Tensor& vectors, const Tensor& weights) {
  return Symmetrised(at::matmul(vectors * weights.unsqueeze(-2), vectors.transpose(-1, -2)));
}

// f(values) where kept, zero elsewhere; f sees no excluded value.
template <class F>
Tensor OnKept(const Spectrum& spectrum, F f) {
  const Tensor safe = at::where(spectrum.kept, spectrum.values, at::ones_like(spectrum.values));
  return at::where(spectrum.kept, f(safe), at::zeros_like(safe));
}

}  // namespace

double Dot(const Tensor& a, const Tensor& b) { return (a * b).sum().item<double>(); }

void AddTo(Tensor& sum, const Tensor& part) {
  sum = sum.defined() ? sum.add_(part.to(kF64)) : part.to(kF64);
}

Tensor Symmetrised(const Tensor& a) { return (a + a.transpose(-1, -2)).mul_(0.5); }

Tensor SignFixedColumns(const Tensor& vectors) {
  if (vectors.numel() == 0) return vectors.clone();
  const Tensor rows = vectors.abs().argmax(/*dim=*/-2, /*keepdim=*/true);  // first of equal entries
  const Tensor negative = vectors.gather(-2, rows) < 0;                    // [..., 1, n]
  return at::where(negative, -vectors, vectors);
}

Eigen EighDescending(const Tensor& a, const std::string& what) {
  CheckSquare(a, what);
  RequireFinite(a, what);
  if (a.numel() == 0) return {a.diagonal(0, -2, -1).clone(), a.clone()};
  try {
    const auto [values, vectors] = at::linalg_eigh(Symmetrised(a));
    return {values.flip({-1}), SignFixedColumns(vectors.flip({-1}))};
  } catch (const c10::Error& error) {
    throw MakeError<NumericError>("{}: eigenvalue decomposition of {} failed: {}", what,
                                  ShapeString(a.sizes()), Reason(error));
  }
}

Singular SingularValues(const Tensor& a, const std::string& what) {
  CONDENSE_CHECK(a.scalar_type() == kF64 && a.dim() == 2 && a.numel() > 0, "{}: {} of {}", what,
                 ShapeString(a.sizes()), DTypeName(a.scalar_type()));
  RequireFinite(a, what);
  try {
    const auto [u, values, vh] = at::linalg_svd(a, /*full_matrices=*/false);
    const Tensor left = SignFixedColumns(u);
    const Tensor flipped = (left != u).any(0);  // [r]
    const Tensor right = vh.t();
    return {left, values, at::where(flipped, -right, right)};
  } catch (const c10::Error& error) {
    throw MakeError<NumericError>("{}: singular value decomposition of {} failed: {}", what,
                                  ShapeString(a.sizes()), Reason(error));
  }
}

void ThrowNotPositiveDefinite(const Tensor& a, const std::string& what) {
  RequireFinite(a, what);
  throw MakeError<NumericError>(
      "{}: Cholesky factorisation of {} failed even with 1e-4 x mean(diag) = {:.3e} added to the "
      "diagonal; the matrix is not positive definite ({})",
      what, ShapeString(a.sizes()), 1e-4 * a.diagonal().mean().item<double>(),
      SpectrumString(Symmetrised(a)));
}

BatchFactor CholeskyEscalatedBatch(const Tensor& a, const std::string& what) {
  CheckSquare(a, what);
  CONDENSE_CHECK(a.dim() == 3, "{}: a batch, not {}", what, ShapeString(a.sizes()));
  BatchFactor factor{.lower = {}, .damping = std::vector<double>(static_cast<size_t>(a.size(0)))};
  if (a.numel() == 0) {
    factor.lower = a.clone();
    return factor;
  }
  const auto [lower, info] = at::linalg_cholesky_ex(a, /*upper=*/false, /*check=*/false);
  factor.lower = lower;
  // The one look: NaN passes through a factorisation unnoticed, but stays on the diagonal.
  const Tensor bad = info.ne(0)
                         .logical_or_(at::isfinite(lower.diagonal(0, -2, -1)).all(-1).logical_not())
                         .to(at::kCPU);  // [batch]
  const bool* failed = bad.const_data_ptr<bool>();
  for (int64_t i = 0; i < a.size(0); ++i) {
    if (!failed[i]) continue;
    const Factor alone = Damped(a[i], what);
    factor.lower[i].copy_(alone.lower);
    factor.damping[static_cast<size_t>(i)] = alone.damping;
  }
  return factor;
}

Factor CholeskyEscalated(const Tensor& a, const std::string& what) {
  CONDENSE_CHECK(a.dim() == 2, "{}: one matrix at a time, not {}", what, ShapeString(a.sizes()));
  const BatchFactor factor = CholeskyEscalatedBatch(a.unsqueeze(0), what);
  return {.lower = factor.lower.squeeze(0), .damping = factor.damping.front()};
}

double ConditionOf(const Factor& factor) {
  const Tensor diagonal = factor.lower.diagonal();
  const double low = diagonal.min().item<double>(), high = diagonal.max().item<double>();
  return high / low * (high / low);
}

Tensor CholeskySolve(const Factor& factor, const Tensor& right) {
  return at::cholesky_solve(right, factor.lower);
}
Tensor CholeskySolve(const BatchFactor& factor, const Tensor& right) {
  return at::cholesky_solve(right, factor.lower);
}

Tensor InverseOfFactor(const Factor& factor) { return at::cholesky_inverse(factor.lower); }
Tensor InverseOfFactor(const BatchFactor& factor) { return at::cholesky_inverse(factor.lower); }

Roots PsdRoots(const Tensor& a, const std::string& what) {
  const Spectrum spectrum = SpectrumOf(a, what);
  const Tensor root = OnKept(spectrum, [](const Tensor& v) { return v.sqrt(); });
  const Tensor inverse = OnKept(spectrum, [](const Tensor& v) { return v.rsqrt(); });
  return {Recompose(spectrum.vectors, root), Recompose(spectrum.vectors, inverse),
          spectrum.kept.numel() - spectrum.kept.sum().item<int64_t>()};
}

Tensor PsdPseudoInverse(const Tensor& a, const std::string& what) {
  const Spectrum spectrum = SpectrumOf(a, what);
  return Recompose(spectrum.vectors,
                   OnKept(spectrum, [](const Tensor& v) { return v.reciprocal(); }));
}

Tensor OrthogonalFrom(const Tensor& normals) {
  CheckSquare(normals, "orthogonal matrix");
  RequireFinite(normals, "random numbers of an orthogonal matrix");
  // The Q of a QR decomposition is Haar-distributed once R's diagonal is made positive; without
  // that its signs depend on the routine (Mezzadri, "How to generate random matrices", 2007).
  const auto [q, r] = at::linalg_qr(normals);
  const Tensor negative = r.diagonal(0, -2, -1).unsqueeze(-2) < 0;  // [1, n]
  return at::where(negative, -q, q);
}

void RequireFinite(const Tensor& t, const std::string& what) {
  if (t.numel() == 0 || !at::isFloatingType(t.scalar_type())) return;
  // One pass without a mask as large as the tensor: NaN goes through both extremes.
  const auto [low, high] = at::aminmax(t);
  if (std::isfinite(low.item<double>()) && std::isfinite(high.item<double>())) return;
  const Tensor bad = at::isfinite(t).logical_not_();
  const double value = t.masked_select(bad)[0].item<double>();
  throw MakeError<NumericError>("{}: {} value(s) of {} are not finite; the first is {} at {}", what,
                                bad.sum().item<int64_t>(), ShapeString(t.sizes()), value,
                                t.dim() == 0 ? "[]" : IndexString(bad));
}

}  // namespace condense
