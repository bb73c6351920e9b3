// A model as it is stored, opened for computation. The rest of the program opens models here and
// need not know in which format they are stored. So far there is one: a folder as Hugging Face
// writes them, with config.json, weights and tokenizer.
//
// The tokenizer is named by its place alone: models know token ids, not text (architecture.md 3).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "model/causal_lm.h"
#include "model/stored/checkpoint_model.h"
#include "model/stored/checkpoint_sink.h"

namespace condense {

// kAuto: in memory if the model takes no more than a quarter of the machine's memory, else
// streamed.
enum class Residence { kAuto, kStreamed };

class StoredModel {
 public:
  // Checks every tensor's name and shape. DataError, with the file's name, for what is missing,
  // damaged or not supported.
  explicit StoredModel(const std::filesystem::path& place, const LoadOptions& options = {},
                       Residence residence = Residence::kAuto);

  const ModelConfig& config() const { return stored_->config(); }
  // In memory or streamed from its files, block by block.
  const ModelSource& source() const;
  // The whole model in memory; loads it, whatever its size, unless it is there already.
  const CausalLm& resident();

  const std::filesystem::path& place() const { return stored_->folder(); }
  // The place that LoadModelTokenizer() opens.
  const std::filesystem::path& tokenizer() const { return stored_->folder(); }
  // Of weights and configuration.
  const std::string& digest() const { return stored_->digest(); }
  uint64_t FileBytes() const { return stored_->FileBytes(); }  // of the weights
  std::string StoredDType() const { return stored_->StoredDType(); }

  // Writes a model that was made from this one, with this one's tokenizer.
  CheckpointSink SinkTo(std::filesystem::path folder, CheckpointSink::Options options) const {
    return CheckpointSink(*stored_, std::move(folder), std::move(options));
  }

 private:
  std::unique_ptr<CheckpointModel> stored_;
  std::unique_ptr<CausalLm> resident_;
};

}  // namespace condense
