#include "tensor/in_place_factor.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// Columns of a block: wide enough for matrix products, narrow enough that what is done twice on the
// diagonal does not matter.
constexpr int64_t kBlock = 512;

// B L^-T, B [r, w], L [w, w] lower.
Tensor OverTransposed(const Tensor& b, const Tensor& lower) {
  return at::linalg_solve_triangular(lower.t(), b, /*upper=*/true, /*left=*/false);
}

}  // namespace

void ForEachColumnBlock(int64_t n, const std::function<void(int64_t, int64_t)>& fn) {
  for (int64_t first = 0; first < n; first += kBlock) fn(first, std::min(kBlock, n - first));
}

InPlaceFactor::InPlaceFactor(Tensor a, double ridge, std::string what)
    : a_(std::move(a)), ridge_(ridge), what_(std::move(what)) {
  CONDENSE_CHECK(a_.scalar_type() == kF64 && a_.dim() == 2 && a_.size(0) == a_.size(1) &&
                     (a_.size(0) < 2 || a_.stride(1) == 1),
                 "{}: {} of {}", what_, ShapeString(a_.sizes()), DTypeName(a_.scalar_type()));
  diagonal_ = a_.diagonal().clone();
  if (ridge_ != 0) a_.diagonal().add_(ridge_);
  Escalate(0);
}

Tensor InPlaceFactor::Block(int64_t row, int64_t rows, int64_t column, int64_t columns) const {
  return a_.narrow(0, row, rows).narrow(1, column, columns);
}

Tensor InPlaceFactor::Corner(int64_t first, int64_t width) const {
  return Block(first, width, first, width).tril();
}

void InPlaceFactor::SetCorner(int64_t first, const Tensor& lower) {
  Tensor corner = Block(first, lower.size(0), first, lower.size(0));
  corner.copy_(lower.tril() + corner.triu(1));
}

double InPlaceFactor::MeanDiagonal() const { return diagonal_.mean().item<double>() + ridge_; }

double InPlaceFactor::Condition() const {
  if (size() == 0) return 1;
  const auto [low, high] = at::aminmax(a_.diagonal());
  const double ratio = (high / low).item<double>();
  return ratio * ratio;
}

// The lower triangle from the upper one, with `added` on the diagonal.
void InPlaceFactor::Restore(double added) {
  ForEachColumnBlock(size(), [&](int64_t first, int64_t width) {
    const int64_t below = first + width, rest = size() - below;
    Tensor corner = Block(first, width, first, width);
    const Tensor upper = corner.triu(1);
    corner.copy_(upper + upper.t());
    if (rest > 0) Block(below, rest, first, width).copy_(Block(first, width, below, rest).t());
  });
  a_.diagonal().copy_(diagonal_).add_(added);
}

bool InPlaceFactor::TryFactorise(double damping) {
  if (damping > 0) Restore(ridge_ + damping);
  std::vector<Tensor> states;
  for (int64_t first = 0; first < size(); first += kBlock) {
    const int64_t width = std::min(kBlock, size() - first), below = first + width,
                  rest = size() - below;
    const Tensor before = Block(first, width, 0, first);  // of L
    Tensor corner = Block(first, width, first, width).clone();
    if (first > 0) corner.addmm_(before, before.t(), 1, -1);
    const auto [lower, info] = at::linalg_cholesky_ex(corner);
    // On the host a look costs nothing; on a device all are looked at together.
    if (info.is_cpu() && info.item<int64_t>() != 0) return false;
    states.push_back(info);
    SetCorner(first, lower);
    if (rest == 0) continue;
    Tensor panel = Block(below, rest, first, width);
    if (first > 0) panel.addmm_(Block(below, rest, 0, first), before.t(), 1, -1);
    panel.copy_(OverTransposed(panel, lower));
  }
  const Tensor bad = at::stack(states).ne(0).any();
  return !bad.logical_or(at::isfinite(a_.diagonal()).all().logical_not()).item<bool>();
}

void InPlaceFactor::Escalate(double least) {
  damping_ = least;
  if (size() == 0) return;
  if (TryFactorise(least)) return;
  const double mean = MeanDiagonal() + least;
  if (mean > 0) {
    for (const double step : kCholeskyEscalation) {
      if (step == 0) continue;
      damping_ = least + step * mean;
      if (TryFactorise(damping_)) return;
    }
  }
  Restore(ridge_ + least);
  ThrowNotPositiveDefinite(a_, what_);
}

void InPlaceFactor::Damp(double damping) { Escalate(damping); }

double InPlaceFactor::Energy(Tensor& right) const {
  CONDENSE_CHECK(right.dim() == 2 && right.size(0) == size(), "{}: right side {} of {}", what_,
                 ShapeString(right.sizes()), size());
  const int64_t n = size();
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t width = std::min(kBlock, n - first);
    Tensor own = right.narrow(0, first, width);
    if (first > 0) own.addmm_(Block(first, width, 0, first), right.narrow(0, 0, first), 1, -1);
    own.copy_(at::linalg_solve_triangular(Corner(first, width), own, /*upper=*/false));
  }
  return Dot(right, right);  // of L^-1 right
}

double InPlaceFactor::Solve(Tensor& right) const {
  const double energy = Energy(right);
  const int64_t n = size();
  for (int64_t end = n; end > 0;) {
    const int64_t first = (end - 1) / kBlock * kBlock, width = end - first, rest = n - end;
    Tensor own = right.narrow(0, first, width);
    if (rest > 0) {
      own.addmm_(Block(end, rest, first, width).t(), right.narrow(0, end, rest), 1, -1);
    }
    own.copy_(at::linalg_solve_triangular(Corner(first, width).t(), own, /*upper=*/true));
    end = first;
  }
  return energy;
}

// L^-1 in place of L: by blocks of rows, -L_II^-1 L_I: L^-1.
void InPlaceFactor::InvertTriangle() {
  for (int64_t first = 0; first < size(); first += kBlock) {
    const int64_t width = std::min(kBlock, size() - first);
    const Tensor own = at::linalg_solve_triangular(Corner(first, width),
                                                   at::eye(width, a_.options()), /*upper=*/false);
    SetCorner(first, own);
    // From the left, so that what is still L lies to the right.
    for (int64_t column = 0; column < first; column += kBlock) {
      const int64_t next = column + kBlock, between = first - next;
      Tensor block = Block(first, width, column, kBlock);
      Tensor product = at::mm(block, Corner(column, kBlock));
      if (between > 0) {
        product.addmm_(Block(first, width, next, between), Block(next, between, column, kBlock));
      }
      at::neg_out(block, at::mm(own, product));
    }
  }
}

Tensor InPlaceFactor::TakeInverseDiagonal() {
  InvertTriangle();
  Tensor diagonal = at::empty({size()}, a_.options());
  ForEachColumnBlock(size(), [&](int64_t first, int64_t width) {
    const int64_t below = first + width, rest = size() - below;
    Tensor own = Corner(first, width).square().sum(0);
    if (rest > 0) {
      own += at::linalg_vector_norm(Block(below, rest, first, width), 2, 0).square();
    }
    diagonal.narrow(0, first, width).copy_(own);
  });
  return diagonal;
}

void InPlaceFactor::Invert() {
  InvertTriangle();
  // L^-T L^-1 by blocks of rows: a block reads itself and what is below.
  for (int64_t first = 0; first < size(); first += kBlock) {
    const int64_t width = std::min(kBlock, size() - first), below = first + width,
                  rest = size() - below;
    const Tensor own = Corner(first, width);
    const Tensor under = Block(below, rest, first, width);
    Tensor corner = at::mm(own.t(), own);
    if (rest > 0) corner.addmm_(under.t(), under);
    SetCorner(first, corner);
    if (first == 0) continue;
    Tensor left = Block(first, width, 0, first);
    left.copy_(at::mm(own.t(), left));
    if (rest > 0) left.addmm_(under.t(), Block(below, rest, 0, first));
  }
}

void AddToLower(Tensor a, const Tensor& x, const Tensor& y, double alpha) {
  const int64_t n = a.size(0);
  ForEachColumnBlock(n, [&](int64_t first, int64_t width) {
    const int64_t below = first + width, rest = n - below;
    const Tensor own = y.narrow(0, first, width).t();
    Tensor corner = a.narrow(0, first, width).narrow(1, first, width);
    corner.add_(at::mm(x.narrow(0, first, width), own).tril(), alpha);
    if (rest > 0) {
      Tensor panel = a.narrow(0, below, rest).narrow(1, first, width);
      panel.addmm_(x.narrow(0, below, rest), own, 1, alpha);
    }
  });
}

void AddToUpper(Tensor a, const Tensor& x, const Tensor& y, double alpha, double beta) {
  const int64_t n = a.size(0);
  ForEachColumnBlock(n, [&](int64_t first, int64_t width) {
    const int64_t below = first + width, rest = n - below;
    const Tensor own = x.narrow(0, first, width);
    Tensor corner = a.narrow(0, first, width).narrow(1, first, width);
    const Tensor change = at::mm(own, y.narrow(0, first, width).t()).triu();
    if (beta == 0) {
      corner.tril_(-1);  // what was there may be anything, and zero times infinity is not a number
    } else if (beta != 1) {
      corner.copy_(corner.tril(-1) + beta * corner.triu());
    }
    corner.add_(change, alpha);
    if (rest > 0) {
      Tensor panel = a.narrow(0, first, width).narrow(1, below, rest);
      panel.addmm_(own, y.narrow(0, below, rest).t(), beta, alpha);
    }
  });
}

double QuadraticForm(const Tensor& a, const Tensor& x) {
  const Tensor narrow = x.to(kF32);
  Tensor sum = at::zeros({}, a.options());
  ForEachColumnBlock(a.size(0), [&](int64_t first, int64_t width) {
    const int64_t below = first + width, rest = a.size(0) - below;
    const Tensor own = narrow.narrow(0, first, width);
    const auto add = [&](const Tensor& product) { sum += (product * own).sum(0).to(kF64).sum(); };
    add(at::mm(a.narrow(0, first, width).narrow(1, first, width).to(kF32), own));
    if (rest == 0) return;
    const Tensor panel = a.narrow(0, below, rest).narrow(1, first, width).to(kF32);
    add(at::mm(panel.t(), narrow.narrow(0, below, rest)).mul_(2));
  });
  return sum.item<double>();
}

}  // namespace condense
