// Inner products of the rows of two streams in one pass over the data, for float32 on the CPU.
#pragma once

#include "tensor/tensor.h"

namespace condense {

struct RowProducts {
  Tensor left, right;  // x.x and y.y of each row, float64
  Tensor both;         // x.y
};
// x, y: [rows, width], of the same shape. Products of float32 are exact in float64, in which they
// are summed. Composed of LibTorch's operators where the kernel does not apply.
RowProducts ProductsOfRows(const Tensor& x, const Tensor& y);

}  // namespace condense
