#include "model/stored/families/common.h"

#include <cmath>

namespace condense {
namespace {

Activation ParseActivation(const JsonReader& reader) {
  const auto name = reader.Get<std::string>("hidden_act", "silu");
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  throw MakeError<DataError>("{}: hidden_act '{}' is not supported (silu, gelu, gelu_pytorch_tanh)",
                             reader.file(), name);
}

}  // namespace

RopeConfig ParseRope(const JsonReader& reader) {
  RopeConfig rope{.theta = reader.Get<double>("rope_theta", 10000.0)};
  // Newer files hold theta and scaling together under rope_parameters.
  const char* key = reader.Has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!reader.Has(key)) return rope;
  const JsonReader scaling = reader.Child(key);
  rope.theta = scaling.Get<double>("rope_theta", rope.theta);
  const auto type =
      scaling.Get<std::string>("rope_type", scaling.Get<std::string>("type", "default"));
  if (type == "default") return rope;
  if (type != "llama3") {
    throw MakeError<DataError>("{}: {} of type '{}' is not supported (default, llama3)",
                               reader.file(), key, type);
  }
  rope.scaling =
      RopeScaling{.factor = scaling.Get<double>("factor"),
                  .low_freq_factor = scaling.Get<double>("low_freq_factor"),
                  .high_freq_factor = scaling.Get<double>("high_freq_factor"),
                  .original_max_positions = scaling.Size("original_max_position_embeddings")};
  return rope;
}

int64_t RequireWholeHeads(const JsonReader& reader, const ModelConfig& config) {
  if (config.hidden_size % config.num_heads != 0) {
    throw MakeError<DataError>("{}: hidden_size {} is not a multiple of num_attention_heads {}",
                               reader.file(), config.hidden_size, config.num_heads);
  }
  return config.hidden_size / config.num_heads;
}

ModelConfig ParseLlamaLike(const JsonReader& reader, const std::string& family) {
  const std::string& file = reader.file();
  ModelConfig config;
  config.family = family;
  config.hidden_size = config.embedding_width = config.head_width = reader.Size("hidden_size");
  config.vocab_size = reader.Size("vocab_size");
  config.num_heads = reader.Count("num_attention_heads");
  config.num_kv_heads =
      reader.Has("num_key_value_heads") ? reader.Count("num_key_value_heads") : config.num_heads;
  if (config.num_heads % config.num_kv_heads != 0) {
    throw MakeError<DataError>("{}: {} attention heads cannot share {} key/value heads evenly",
                               file, config.num_heads, config.num_kv_heads);
  }
  config.head_dim =
      reader.Has("head_dim") ? reader.Size("head_dim") : RequireWholeHeads(reader, config);
  if (config.head_dim % 2 != 0) {
    throw MakeError<DataError>("{}: head_dim {} is odd; rotary positions need pairs", file,
                               config.head_dim);
  }
  config.intermediate_size = reader.Size("intermediate_size");
  config.max_positions = reader.Get<int64_t>("max_position_embeddings", 2048);
  config.norm = NormKind::kRms;
  config.norm_eps = reader.Get<double>("rms_norm_eps", 1e-6);
  config.activation = ParseActivation(reader);
  config.gated_mlp = true;
  config.rope = ParseRope(reader);
  config.tied_head = reader.Get<bool>("tie_word_embeddings", false);
  return config;
}

ModelConfig WithUniformLayers(const JsonReader& reader, const std::vector<Role>& biased,
                              ModelConfig config) {
  LayerConfig layer;
  layer.heads.assign(static_cast<size_t>(config.num_kv_heads),
                     {.queries = config.num_heads / config.num_kv_heads,
                      .qk_width = config.head_dim,
                      .vo_width = config.head_dim});
  layer.mlp_width = config.intermediate_size;
  layer.attention_scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
  layer.in_width = layer.mid_width = layer.out_width = config.hidden_size;
  for (const Role role : biased) layer.linears[role].bias = true;
  for (int64_t l = 0, count = reader.Count("num_hidden_layers"); l < count; ++l) {
    layer.source = l;
    config.layers.push_back(layer);
  }
  return config;
}

WeightNames LlamaNames() {
  return {.prefixes = {"model."},
          .token_embedding = "embed_tokens",
          .position_embedding = "",
          .final_norm = "norm",
          .head = "lm_head",
          .block = "layers.{}.",
          .norm1 = "input_layernorm",
          .norm2 = "post_attention_layernorm",
          .linears = {{Role::kQuery, "self_attn.q_proj"},
                      {Role::kKey, "self_attn.k_proj"},
                      {Role::kValue, "self_attn.v_proj"},
                      {Role::kOutput, "self_attn.o_proj"},
                      {Role::kGate, "mlp.gate_proj"},
                      {Role::kUp, "mlp.up_proj"},
                      {Role::kDown, "mlp.down_proj"}},
          .ignored = {"rotary_emb.inv_freq"}};
}

}  // namespace condense
