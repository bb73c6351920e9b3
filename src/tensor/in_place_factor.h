// A Cholesky factor, and the inverse, in the lower triangle of the matrix itself.
//
// Beside a float64 matrix of [n, n] there is often no room for a second one. So the factor takes
// the place of the lower triangle; the strict upper one stays as it was, and gives the matrix back
// where damping is needed. Work goes by blocks of columns, nearly all of it as matrix products, and
// temporaries are [n, block]. Runs on the matrix's device; at most one host read per factorisation
// there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tensor/tensor.h"

namespace condense {

class InPlaceFactor {
 public:
  // A + (ridge + damping) I = L L^T with the escalation of CholeskyEscalated() (linalg.h). a [n,
  // n]: float64, symmetric, with both triangles, written to as long as this lives; its rows are
  // contiguous but may lie apart, as those of a part of a buffer. NumericError, naming `what`;
  // a is then A + ridge I.
  InPlaceFactor(Tensor a, double ridge, std::string what);

  // Factorises again, with so much more on the diagonal to begin with.
  void Damp(double damping);

  double damping() const { return damping_; }  // absolute, beyond the ridge
  double MeanDiagonal() const;                 // of A + ridge I
  // (largest / smallest diagonal entry of L)^2: at most the condition number.
  double Condition() const;

  // X = (A + ridge I + damping I)^-1 right, in place: [n, k] float64, rows contiguous. Returns
  // <X, right>.
  double Solve(Tensor& right) const;
  // <X, right> alone, at half the work; `right` is used up.
  double Energy(Tensor& right) const;

  // The diagonal of the inverse [n]. No factor is left: call nothing else afterwards.
  Tensor TakeInverseDiagonal();
  // Puts the inverse into the lower triangle. No factor is left.
  void Invert();

 private:
  int64_t size() const { return a_.size(0); }
  Tensor Block(int64_t row, int64_t rows, int64_t column, int64_t columns) const;
  // The square block at `first`, its lower triangle; zero above.
  Tensor Corner(int64_t first, int64_t width) const;
  void SetCorner(int64_t first, const Tensor& lower);
  void Escalate(double least);
  bool TryFactorise(double damping);
  void Restore(double added);
  void InvertTriangle();

  Tensor a_;
  Tensor diagonal_;  // of A
  double ridge_ = 0, damping_ = 0;
  std::string what_;
};

// A triangle of a symmetric matrix, incl. its diagonal, in a buffer whose other half belongs to
// something else; by blocks, so that nothing is done twice.
//
// Calls fn(first, width) for the blocks of columns of [n, n].
void ForEachColumnBlock(int64_t n, const std::function<void(int64_t, int64_t)>& fn);
// A += alpha X Y^T on the lower triangle. a [n, n], x and y [n, k]; X Y^T is symmetric.
void AddToLower(Tensor a, const Tensor& x, const Tensor& y, double alpha);
// The same on the upper triangle; with beta = 0 what was there is overwritten.
void AddToUpper(Tensor a, const Tensor& x, const Tensor& y, double alpha, double beta = 1);
// <X, A X> for symmetric A [n, n], of which half is read, in float32 products: to about 1e-6, for
// reports. x [n, k].
double QuadraticForm(const Tensor& a, const Tensor& x);

}  // namespace condense
