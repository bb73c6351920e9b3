// The weights of a stored model under the names that a folder gives them, in whatever file they lie.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace condense {

// As Checkpoint (checkpoint.h), which is one of them.
class StoredWeights {
 public:
  virtual ~StoredWeights() = default;

  virtual const std::vector<std::string>& Names() const = 0;  // sorted
  virtual bool Has(const std::string& name) const = 0;
  virtual const TensorInfo& Info(const std::string& name) const = 0;
  // DataError unless the shape is the expected one. It may point into a memory map.
  virtual Tensor Get(const std::string& name, at::IntArrayRef shape) const = 0;
  virtual void Release(const std::string& name) const = 0;
  virtual const std::string& Digest() const = 0;
  virtual uint64_t FileBytes() const = 0;
};

struct OpenedModel {
  nlohmann::json config;    // config.json, or what it would be
  std::string config_file;  // which file says so, for messages
  std::unique_ptr<StoredWeights> weights;
};

// A folder with config.json and weights.
OpenedModel OpenFolder(const std::filesystem::path& folder);
// A GGUF file, with its weights in float16, as `runner import` writes them (gguf/gguf_model.h).
OpenedModel OpenGguf(const std::filesystem::path& file);

}  // namespace condense
