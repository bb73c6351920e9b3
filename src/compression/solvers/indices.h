// Index sets: choosing, complementing, and sharing widths between heads.
//
// The solvers of this folder are pure functions of matrices, in float64, in the row-vector
// orientation of methods.md: y = x W, W is [in, out]. Nothing here knows of blocks or files. One
// solver stands once and serves every method.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

using Indices = std::vector<int64_t>;  // ascending unless said otherwise

// The k smallest / largest entries, ties to the lower index, returned ascending.
Indices SmallestIndices(const Tensor& scores, int64_t k);
Indices LargestIndices(const Tensor& scores, int64_t k);
Indices Complement(const Indices& kept, int64_t count);
Tensor IndexTensor(const Indices& indices);  // int64, on the CPU
// Shares `total` units among heads, in steps of `step`, so that together they gain most (ties: more
// to lower heads). gains[j]: gains of head j's units in the order in which it takes them. Every
// head gets at least one step. The widths are multiples of `step`.
std::vector<int64_t> PooledWidths(const std::vector<Tensor>& gains, int64_t total, int64_t step);

}  // namespace condense
