// The number formats of GGUF tensors, and their decoding to float32
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; type ids as in ggml.h).
//
// A quantised tensor is a sequence of blocks along its last dimension. A block of 32 elements has a
// float16 scale (and a minimum); a block of 256 elements ("K") has a float16 scale, and a small
// integer scale for each group of 16 or 32.
//
// Decoding is exact up to one rounding: products of a float16 number, a group's scale and an
// element have at most 11 + 7 + 5 significant bits, which float32 holds; only the addition of the
// minimum rounds. So neither the order of the factors nor a fused multiply-add changes a bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace condense {

struct GgufType {
  uint32_t id;
  const char* name;  // "Q4_K"
  uint32_t block_elements;
  uint32_t block_bytes;
  // Decodes `count` blocks to count * block_elements numbers. Nothing has to be aligned.
  void (*decode)(const uint8_t* blocks, size_t count, float* out);
};

std::span<const GgufType> GgufTypes();

// DataError beginning with `where` for an id that is unknown, or known and not supported; it names
// the supported types.
const GgufType& GgufTypeOf(uint32_t id, const std::string& where);

}  // namespace condense
