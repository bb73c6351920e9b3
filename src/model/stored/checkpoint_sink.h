// A model that is written to a folder, block by block.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "model/stored/checkpoint_model.h"

namespace condense {

// Writes a compressed model as a self-describing folder: weights, config.json with the object
// `condense`, the tokenizer files of the dense model and provenance.json.
class CheckpointSink final : public ModelSink {
 public:
  struct Options {
    // Of the stored floating-point tensors; nullopt: the one that the model was computed in.
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

}  // namespace condense
