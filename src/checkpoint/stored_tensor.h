// A tensor in a weight file, as the readers of both file formats describe it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"

namespace condense {

struct StoredTensor {
  std::string name;
  DType dtype = kF32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in elements; empty: contiguous
  uint64_t offset = 0;           // of the first byte, from the start of the file
  uint64_t bytes = 0;            // spanned by the elements
};

// Number of elements; nullopt when a dimension is negative or the product overflows.
std::optional<int64_t> ElementCount(const std::vector<int64_t>& shape);

// A tensor that points into the map and keeps it alive; copied if the bytes are not aligned for
// the dtype or not in row-major order.
Tensor ViewStored(const std::shared_ptr<const MappedFile>& file, const StoredTensor& stored);

// DataError when the file is only the text that Git LFS leaves in place of a large file.
void RefuseLfsPointer(const MappedFile& file);

}  // namespace condense
