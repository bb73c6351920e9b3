// Random checkpoints of a real model's shape, for measurements of time and memory where the real
// weights are not at hand. What such a model says means nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

struct SynthesisOptions {
  DType dtype = kF16;
  uint64_t seed = 0;
  std::vector<std::filesystem::path> tokenizer_files;  // copied beside the weights
};

struct SynthesizedModel {
  int64_t parameters = 0;
  uint64_t weight_bytes = 0;
};

// Writes the model that `config`, the content of a config.json, describes. `where` names it in
// errors. One tensor is in memory at a time, and each depends on the seed and its name alone.
//
// Matrices have the spectra of trained ones: a low-rank part whose singular values fall as a power
// of their index, on noise whose rows and columns differ in scale. Channels therefore differ in
// energy and depend on each other, as selections and solves expect. DataError for what the family
// refuses, ConfigError if `folder` holds something already.
SynthesizedModel SynthesizeModel(nlohmann::json config, const std::string& where,
                                 const std::filesystem::path& folder,
                                 const SynthesisOptions& options);

}  // namespace condense
