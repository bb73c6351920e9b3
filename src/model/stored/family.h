// Model families: translation of config.json and of weight names. Families are data; no other code
// asks which family a model belongs to.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace condense {

// Names of tensors in the checkpoint.
struct WeightNames {
  // Prefixes under which checkpoints of this family are found: that of a file is the one under
  // which it has the token embedding. The first one is written.
  std::vector<std::string> prefixes;
  std::string token_embedding;     // after the prefix
  std::string position_embedding;  // empty without a table
  std::string final_norm;          // without ".weight"
  std::string head;                // whole name without ".weight", no prefix
  std::string block;               // "layers.{}."
  // Within a block, without the ending of the tensor.
  std::string norm1, norm2;
  PerRole<std::string> linears;  // Role::kQuery: "self_attn.q_proj"; empty for a map it lacks
  // What only compressed models have.
  std::string rope_pairs = "self_attn.rope_pairs";
  std::string attn_shortcut = "attn_shortcut", mlp_shortcut = "mlp_shortcut";
  // Endings of tensors that old checkpoints carry and that nothing reads.
  std::vector<std::string> ignored;
};

class ModelFamily {
 public:
  static constexpr const char* kKind = "model family";
  virtual ~ModelFamily() = default;

  virtual std::vector<std::string> ModelTypes() const = 0;  // values of config.json's model_type
  // The dense model that config.json describes. DataError, with the file's name, for what is
  // missing or wrong and for a variant that would not be computed correctly.
  virtual ModelConfig Parse(const nlohmann::json& config, const std::string& file) const = 0;
  virtual const WeightNames& Names() const = 0;
};

// The family of a config.json; DataError naming the known model types.
const ModelFamily& FamilyOf(const nlohmann::json& config, const std::string& file);
const ModelFamily& FamilyNamed(const std::string& name);

// Checkpoint name of a tensor of block `position` from its role name, e.g. "attention.q.weight".
std::string BlockTensorName(const WeightNames& names, const std::string& prefix, int64_t position,
                            const std::string& role_name);

}  // namespace condense
