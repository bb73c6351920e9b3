// The model in a GGUF file as the folder that `runner import` makes of it would be: its tensors by
// the names of a folder, its config.json and its tokenizer.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/gguf/gguf_file.h"
#include "model/stored/stored_weights.h"

namespace condense {

class GgufModel final : public StoredWeights {
 public:
  // Checks that the tensors are those that the metadata describe, and reads none. `dtype` is the
  // number type of the weights, to which they are rounded from float32. DataError if file and model
  // do not agree (gguf_file.h, gguf_config.h, gguf_vocabulary.h), or if a tensor is missing, of
  // another shape or not accounted for.
  GgufModel(const std::filesystem::path& file, DType dtype);

  const nlohmann::json& config() const { return config_; }
  // The files of the tokenizer by name, without config.json (gguf_tokenizer.h).
  std::map<std::string, std::string> TokenizerFiles() const;
  // The tensors in the order of the layers.
  const std::vector<std::string>& InOrder() const { return in_order_; }

  const std::vector<std::string>& Names() const override { return names_; }
  bool Has(const std::string& name) const override { return moves_.contains(name); }
  const TensorInfo& Info(const std::string& name) const override { return Find(name).info; }
  // Memory of its own. Queries and keys are in the order of a folder. DataError where a number is
  // not finite in the number type.
  Tensor Get(const std::string& name, at::IntArrayRef shape) const override;
  void Release(const std::string& name) const override { file_.Release(Find(name).from); }
  // SHA-256 over the hexadecimal digests of the files and config(). Computed once.
  const std::string& Digest() const override;
  uint64_t FileBytes() const override { return file_.FileBytes(); }

 private:
  struct Move {
    std::string from;
    TensorInfo info;
    std::optional<int64_t> interleaved_heads;  // of a map whose rows have to be put back in order
  };
  const Move& Find(const std::string& name) const;
  void AddMoves();
  void RequireSameTensors() const;

  GgufFile file_;
  nlohmann::json config_;
  DType dtype_;
  int64_t vocab_size_ = 0;
  std::map<std::string, Move> moves_;  // by the name in a folder
  std::vector<std::string> names_, in_order_;
  mutable std::once_flag digest_once_;
  mutable std::string digest_;
};

// The files of the tokenizer and config.json, as import writes them.
std::map<std::string, std::string> TokenizerFilesOfGguf(const std::filesystem::path& file);

}  // namespace condense
