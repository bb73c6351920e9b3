// The weight files of a model folder and the tensors in each.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "checkpoint/stored_tensor.h"

namespace condense {

struct WeightFile {
  std::shared_ptr<const MappedFile> map;
  std::vector<StoredTensor> tensors;
};

// The weight files of a folder, sorted by name: model.safetensors, or the shards of
// model.safetensors.index.json, otherwise the same of pytorch_model.bin. DataError when there
// are none, and when an index and its shards do not name the same tensors.
std::vector<WeightFile> OpenWeightFiles(const std::filesystem::path& folder);

}  // namespace condense
