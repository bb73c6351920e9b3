// A tiny model as a folder that the program can open: config.json and weights under the names of
// its family.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint_writer.h"
#include "model/causal_lm.h"
#include "model/stored/checkpoint_model.h"
#include "model/stored/family.h"

namespace condense {

inline nlohmann::json PlainConfig(const ModelConfig& config) {
  if (config.family == "opt") {
    return {{"model_type", "opt"},
            {"hidden_size", config.hidden_size},
            {"vocab_size", config.vocab_size},
            {"num_attention_heads", config.num_heads},
            {"ffn_dim", config.intermediate_size},
            {"max_position_embeddings", config.max_positions},
            {"num_hidden_layers", config.num_layers()}};
  }
  return {{"model_type", "llama"},
          {"hidden_size", config.hidden_size},
          {"vocab_size", config.vocab_size},
          {"num_attention_heads", config.num_heads},
          {"num_key_value_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"intermediate_size", config.intermediate_size},
          {"max_position_embeddings", config.max_positions},
          {"rms_norm_eps", config.norm_eps},
          {"num_hidden_layers", config.num_layers()}};
}

// Writes a dense model with the config.json that it was parsed from, if it was, and opens it again,
// in the dtype it has.
inline std::unique_ptr<CheckpointModel> WriteTinyFolder(const CausalLm& model,
                                                        const std::filesystem::path& folder,
                                                        const nlohmann::json& file = {}) {
  const ModelConfig& config = model.config();
  const WeightNames& names = FamilyNamed(config.family).Names();
  const std::string& prefix = names.prefixes.front();
  CheckpointWriter writer(folder);
  const auto add = [&](const std::string& name, const Tensor& tensor) {
    if (tensor.defined()) writer.Add(name, tensor.contiguous());
  };
  add(prefix + names.token_embedding + ".weight", model.embedding().tokens);
  add(prefix + names.position_embedding + ".weight", model.embedding().positions);
  for (int64_t l = 0; l < config.num_layers(); ++l) {
    Block block = model.LoadBlock(l);
    block.ForEachTensor([&](const std::string& role, Tensor& tensor) {
      if (tensor.defined()) add(BlockTensorName(names, prefix, l, role), tensor);
    });
  }
  add(prefix + names.final_norm + ".weight", model.head().norm.weight);
  add(prefix + names.final_norm + ".bias", model.head().norm.bias);
  if (!config.tied_head) add(names.head + ".weight", model.head().linear.weight);
  writer.AddFile("config.json", (file.is_null() ? PlainConfig(config) : file).dump(2) + "\n");
  writer.Finish();
  return CheckpointModel::Open(folder, {.dtype = model.dtype()});
}

}  // namespace condense
