// A Gram matrix and what is known of the rows that it is a sum over.
#pragma once

#include "tensor/tensor.h"

namespace condense {

// sum_n w_n x_n^T x_n over rows x, and their weight; undefined where it is not known.
struct RowGram {
  Tensor sum;   // [p, p]
  Tensor mean;  // [p], where a map behind it has a bias
  double rows = 0;
};

}  // namespace condense
