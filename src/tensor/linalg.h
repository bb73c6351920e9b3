// Float64 linear algebra with the numerics of methods.md 7.3.
//
// Everything here takes and returns float64 tensors and runs on the CPU or on the tensor's device.
// A failure is a NumericError that says which matrix; damping is never added silently: what was
// added is returned.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

// (A + A^T) / 2.
Tensor Symmetrised(const Tensor& a);
// Sum of the products of entries, of any two tensors of one shape.
double Dot(const Tensor& a, const Tensor& b);
// sum += part, in float64; an undefined sum is zero. The sum may take the place of `part`.
void AddTo(Tensor& sum, const Tensor& part);

struct Eigen {
  Tensor values;   // [n], descending
  Tensor vectors;  // [n, n], columns; the entry of largest magnitude of each is positive
};
// Batched: [..., n, n]. `what` names the matrix in errors.
Eigen EighDescending(const Tensor& a, const std::string& what);
// Makes the entry of largest magnitude of each column positive.
Tensor SignFixedColumns(const Tensor& vectors);

struct Singular {
  Tensor left;    // [n, r], columns; the entry of largest magnitude of each is positive
  Tensor values;  // [r], descending, r = min(n, m)
  Tensor right;   // [m, r], columns: A = left diag(values) right^T
};
Singular SingularValues(const Tensor& a, const std::string& what);  // [n, m]

struct Factor {
  Tensor lower;        // [n, n], A + damping * I = L L^T
  double damping = 0;  // absolute, what the escalation 0, 1e-12 ... 1e-4 times mean(diag) needed
};
// Multiples of mean(diag) that are added in turn until a factorisation succeeds (methods.md 7.3).
inline constexpr std::array<double, 6> kCholeskyEscalation{0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4};
// Cholesky with the recorded escalation. The lower triangle of `a` is read; nothing is copied
// unless damping is needed. A large matrix is factorised where it stands: in_place_factor.h.
Factor CholeskyEscalated(const Tensor& a, const std::string& what);
// Of many small matrices [batch, n, n] at once, with one read by the host: each as alone.
struct BatchFactor {
  Tensor lower;  // [batch, n, n]
  std::vector<double> damping;
};
BatchFactor CholeskyEscalatedBatch(const Tensor& a, const std::string& what);
// The error of a factorisation that failed with all damping.
[[noreturn]] void ThrowNotPositiveDefinite(const Tensor& a, const std::string& what);
// (largest / smallest diagonal entry of L)^2: at most the condition number of what was factored.
double ConditionOf(const Factor& factor);
Tensor CholeskySolve(const Factor& factor, const Tensor& right);       // [n, k]
Tensor CholeskySolve(const BatchFactor& factor, const Tensor& right);  // [batch, n, k]
Tensor InverseOfFactor(const Factor& factor);                          // (A + damping I)^-1
Tensor InverseOfFactor(const BatchFactor& factor);

struct Roots {
  Tensor root;           // A^{1/2}
  Tensor inverse_root;   // A^{-1/2}, zero on the excluded eigenvalues
  int64_t excluded = 0;  // eigenvalues below n 2^-52 sigma_max
};
// Symmetric roots, batched: [..., n, n].
Roots PsdRoots(const Tensor& a, const std::string& what);
// Pseudo-inverse by eigenvalues, cut-off n 2^-52 sigma_max.
Tensor PsdPseudoInverse(const Tensor& a, const std::string& what);

// Orthogonal matrix distributed by Haar's measure, from normal numbers given row by row [n, n].
Tensor OrthogonalFrom(const Tensor& normals);

// Throws NumericError, naming `what` and the first bad index, unless every value is finite.
void RequireFinite(const Tensor& t, const std::string& what);

}  // namespace condense
