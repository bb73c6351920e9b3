// Models in folders: streamed from a checkpoint, and written to one.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "model/model_source.h"

namespace condense {

struct LoadOptions {
  DType dtype = kF32;
  Device device = at::kCPU;
};

// Reads a folder with config.json and weights, dense or compressed. Opening checks the name and
// shape of every tensor against the configuration and reads no weight; blocks are read when asked
// for, and a tensor that is not finite is a DataError then.
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
  std::string StoredDType() const;     // of the first block's query weights
  uint64_t FileBytes() const;

 private:
  struct State;
  explicit CheckpointModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Writes a compressed model as a self-describing folder: weights, config.json with the object
// `condense`, the tokenizer files of the dense model and provenance.json.
class CheckpointSink final : public ModelSink {
 public:
  struct Options {
    // dtype of the stored floating-point tensors; what the model was computed in when absent.
    std::optional<DType> dtype;
    std::string provenance_json = "{}";
  };
  CheckpointSink(const CheckpointModel& dense, std::filesystem::path folder, Options options);
  ~CheckpointSink() override;

  void PutEmbedding(const Embedding& embedding) override;
  void PutBlock(int64_t position, Block block) override;
  void PutHead(const Head& head) override;
  void Finish(const ModelConfig& config) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Files beside the weights that belong to the tokenizer and travel with a compressed model.
std::vector<std::filesystem::path> TokenizerFiles(const std::filesystem::path& folder);

}  // namespace condense
