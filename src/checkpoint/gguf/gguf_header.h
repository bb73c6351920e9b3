// The header of one GGUF file of version 2 or 3, little-endian
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md):
//
//   "GGUF" | uint32 version | uint64 tensors | uint64 metadata entries
//   metadata: key, uint32 type, value   (a string is a uint64 length and its bytes;
//                                        an array a uint32 type, a uint64 count and its elements)
//   tensors:  name, uint32 dimensions, uint64 sizes[], uint32 type, uint64 offset
//   zeros up to a multiple of the alignment | data, to which the offsets refer
//
// Sizes are stored with the fastest dimension first.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/gguf/gguf_metadata.h"
#include "checkpoint/gguf/gguf_type.h"

namespace condense {

struct GgufTensor {
  std::string name;
  const GgufType* type = nullptr;
  std::vector<int64_t> shape;  // row-major: the reverse of the order in the file
  uint64_t offset = 0;         // of the first byte, from the start of the file
  uint64_t bytes = 0;
};

struct GgufHeader {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;  // in order of offset
};

// Reads and validates the header: every length and count fits the file, keys and names occur once,
// types are supported, tensors are aligned, inside the file, and do not overlap. DataError names
// file, place and what was found. Reads no tensor.
GgufHeader ReadGgufHeader(const std::shared_ptr<const MappedFile>& file);

}  // namespace condense
