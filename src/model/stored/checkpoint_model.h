// A model in a folder, read block by block.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "checkpoint/checkpoint.h"
#include "model/model_source.h"

namespace condense {

struct LoadOptions {
  DType dtype = kF32;
  Device device = at::kCPU;
};

// Reads a folder with config.json and weights, dense or compressed. Opening checks the name and
// shape of every tensor against the configuration and reads no weights. A block is read when it is
// asked for; DataError if one of its tensors is not finite.
class CheckpointModel final : public ModelSource {
 public:
  static std::unique_ptr<CheckpointModel> Open(const std::filesystem::path& folder,
                                               const LoadOptions& options = {});
  ~CheckpointModel() override;

  const ModelConfig& config() const override;
  Embedding LoadEmbedding() const override;
  Block LoadBlock(int64_t position) const override;
  Head LoadHead() const override;
  bool resident() const override { return false; }
  DType dtype() const override;
  Device device() const override;
  const std::string& digest() const override;

  const std::filesystem::path& folder() const;
  const nlohmann::json& json() const;  // config.json as it is
  std::string StoredDType() const;     // of the token embedding
  uint64_t FileBytes() const;

 private:
  struct State;
  explicit CheckpointModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace condense
