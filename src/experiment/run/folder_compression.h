// One compression outside an experiment, from a model folder into another.
#pragma once

#include <filesystem>
#include <optional>

#include "compression/compress.h"
#include "data/calibration.h"
#include "experiment/spec/method_spec.h"
#include "model/stored/stored_model.h"

namespace condense {

struct FolderCompression {
  std::filesystem::path model, out;
  MethodSpec method;
  double ratio = 0;                               // 0 for a method without ratio
  std::optional<CalibrationRequest> calibration;  // none: the method needs no calibration
  uint64_t seed = 0;                              // of the method
  DataRoots data;
  LoadOptions load;
  GramMath gram_math = GramMath::kFloat32;
};

struct CompressedFolder {
  CompressionResult result;
  CalibrationSet calibration;
};

// Writes the compressed model with its provenance. ConfigError or DataError for what is wrong, and
// where nothing can be removed although the ratio is above 0.
CompressedFolder CompressFolder(const FolderCompression& wanted);

}  // namespace condense
