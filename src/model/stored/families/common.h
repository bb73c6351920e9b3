// What families have in common: the parts from which a family's Parse() and Names() are put
// together. A family that is built like LLaMA takes ParseLlamaLike(), says which linear maps have
// biases, refuses what it does not compute, and ends with WithUniformLayers().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/model_config.h"
#include "model/stored/family.h"
#include "model/stored/json_reader.h"

namespace condense {

// What stands for a key that config.json lacks.
struct LlamaDefaults {
  int64_t max_positions = 2048;
  std::optional<int64_t> kv_heads;  // nullopt: as many as heads. A null in the file means that too.
};

// The configuration without its layers, from the keys that LLaMA uses: RMSNorm, rotary positions,
// gated MLP, grouped keys and values. DataError for sizes that do not fit together, for an unknown
// activation and for an unknown rotary scaling.
ModelConfig ParseLlamaLike(const JsonReader& reader, const std::string& family,
                           const LlamaDefaults& defaults = {});

// `rope_theta` with `rope_scaling`, or both under `rope_parameters`. The type is under `rope_type`
// or `type`: default, linear, dynamic, yarn or llama3. `config`: with max_positions and head_dim.
RopeConfig ParseRope(const JsonReader& reader, const ModelConfig& config);

// `config` with `num_hidden_layers` equal layers of its sizes, in which the linear maps of these
// roles have a bias.
ModelConfig WithUniformLayers(const JsonReader& reader, const std::vector<Role>& biased,
                              ModelConfig config);

// DataError unless `hidden_size` is a multiple of `num_attention_heads`.
int64_t RequireWholeHeads(const JsonReader& reader, const ModelConfig& config);

// The names of LLaMA's tensors.
WeightNames LlamaNames();

}  // namespace condense
