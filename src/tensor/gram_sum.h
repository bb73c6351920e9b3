// Sums over rows of activations of the products X^T X, with totals in float64 (methods.md 0.3).
//
// A product in float64 costs twice as much as one in float32, and eight times or more on most
// GPUs. Products of tiles of rows in float32, added up in float64, lose 2.4e-7 of the mean of the
// diagonal (cost.md 3.5). A few tokens of a language model are so large that the rounding of their
// products would drown all others; their products are taken in float64.
#pragma once

#include <utility>

#include "tensor/tensor.h"

namespace condense {

enum class GramMath {
  kFloat32,  // tiles in float32, massive rows and totals in float64
  kFloat64,  // everything in float64: bit for bit the same whatever the rows are stored in
};

// Rows of activations [n, p] of any floating type, with their float64 copy made when it is asked
// for and shared by all who ask.
class ActivationRows {
 public:
  ActivationRows(Tensor rows) : rows_(std::move(rows)) {}  // NOLINT(*-explicit-*)
  const Tensor& given() const { return rows_; }
  const Tensor& wide() const;
  int64_t width() const { return rows_.size(1); }

 private:
  Tensor rows_;
  mutable Tensor wide_;
};

// sum_n x_n^T x_n [p, p]. Computed in panels of the upper triangle, at little more than half of the
// operations of the whole product.
class GramSum {
 public:
  explicit GramSum(GramMath math) : math_(math) {}
  void Add(const ActivationRows& rows);
  void Merge(const GramSum& other);
  // Symmetric, on the rows' device. To be called once: the sum is given away, not copied.
  Tensor Take();

 private:
  void AddWide(const Tensor& rows);
  void AddTile(const Tensor& rows);

  GramMath math_;
  Tensor sum_;  // the upper triangle; below it is left over from the panels
};

// sum_n x_n^T y_n [p, q] of rows [n, p] and [n, q]. A row that is massive on either side counts as
// massive.
class ProductSum {
 public:
  explicit ProductSum(GramMath math) : math_(math) {}
  void Add(const Tensor& left, const Tensor& right);
  // To be called once: the sum is given away.
  Tensor Take() { return std::move(sum_); }

 private:
  GramMath math_;
  Tensor sum_;
};

// The same for heads that lie side by side in a row: [heads, w, w].
class HeadGramSum {
 public:
  HeadGramSum(int64_t heads, GramMath math) : heads_(heads), math_(math) {}
  void Add(const ActivationRows& rows);
  void Merge(const HeadGramSum& other);
  Tensor Take();

 private:
  int64_t heads_;
  GramMath math_;
  Tensor sum_;
};

// Rows of a tile in float32 whose norm is above 30 times the median: [n] bool, undefined where
// there is none.
Tensor MassiveRows(const Tensor& rows);

}  // namespace condense
