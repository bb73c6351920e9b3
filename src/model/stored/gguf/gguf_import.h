// Writes the model in a GGUF file as a model folder: weights as safetensors, config.json, tokenizer.
#pragma once

#include <cstdint>
#include <filesystem>

#include "tensor/tensor.h"

namespace condense {

struct ImportedModel {
  int64_t parameters = 0;  // shared ones once
  int64_t vocab_size = 0;
  uint64_t weight_bytes = 0;
};

// Every tensor is decoded to float32 and rounded to `dtype`; queries and keys are put back into the
// order of a folder. One tensor is in memory at a time. `folder` must not exist, or be empty; it
// appears complete or not at all.
//
// ConfigError if `folder` is taken. DataError if file and model do not agree (gguf_file.h,
// gguf_config.h, gguf_tokenizer.h), a tensor is missing, of another shape or not accounted for, or
// a weight is not finite in `dtype`. All but the last is found before anything is written.
ImportedModel ImportGguf(const std::filesystem::path& file, const std::filesystem::path& folder,
                         DType dtype);

}  // namespace condense
