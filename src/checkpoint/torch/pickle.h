// Reads the pickle inside a torch .bin file without executing it.
//
// Python's pickle is a program that may call anything. This reader knows dictionaries, tuples,
// lists, numbers, strings, references to storages, and the four names that a state dict of dense
// tensors needs; every other name is refused before anything is done with it. Tensor bytes are
// not read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

struct PickledTensor {
  std::string name;
  DType dtype = kF32;
  std::string storage;           // key of the record that holds the bytes
  int64_t storage_elements = 0;  // of that record, as the pickle claims
  int64_t offset = 0;            // in elements
  std::vector<int64_t> shape, strides;
};

// The tensors of a pickled {name: tensor} dictionary. `where` begins every error.
std::vector<PickledTensor> ReadPickledTensors(std::string_view bytes, const std::string& where);

}  // namespace condense
