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

double Factor(const JsonReader& scaling) {
  const auto factor = scaling.Get<double>("factor");
  if (factor > 0 && std::isfinite(factor)) return factor;
  throw MakeError<DataError>("{}: '{}' is {}, expected a number above 0", scaling.file(),
                             scaling.Full("factor"), factor);
}

// An absent or zero value stands for `otherwise`, as the reference has it.
double NumberOr(const JsonReader& scaling, const char* key, double otherwise) {
  const auto value = scaling.Get<double>(key, 0);
  return value == 0 ? otherwise : value;
}

// YaRN's factor on queries and keys: 0.1 mscale log(factor) + 1.
double AttentionFactor(const JsonReader& scaling, double factor) {
  if (scaling.Has("attention_factor")) return scaling.Get<double>("attention_factor");
  const auto grown = [factor](double mscale) {
    return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1;
  };
  const double mscale = NumberOr(scaling, "mscale", 0),
               all = NumberOr(scaling, "mscale_all_dim", 0);
  return mscale != 0 && all != 0 ? grown(mscale) / grown(all) : grown(1);
}

YarnRope ParseYarn(const JsonReader& scaling, int64_t max_positions) {
  YarnRope yarn{.factor = Factor(scaling), .original_max_positions = max_positions};
  if (scaling.Get<double>("original_max_position_embeddings", 0) != 0) {
    yarn.original_max_positions = scaling.Size("original_max_position_embeddings");
  }
  yarn.beta_fast = NumberOr(scaling, "beta_fast", yarn.beta_fast);
  yarn.beta_slow = NumberOr(scaling, "beta_slow", yarn.beta_slow);
  if (yarn.beta_fast <= 0 || yarn.beta_slow <= 0) {
    throw MakeError<DataError>("{}: '{}' and beta_slow must be above 0", scaling.file(),
                               scaling.Full("beta_fast"));
  }
  yarn.truncate = scaling.Get<bool>("truncate", true);
  yarn.attention_factor = AttentionFactor(scaling, yarn.factor);
  return yarn;
}

std::optional<RopeScaling> ParseScaling(const JsonReader& scaling, const ModelConfig& config) {
  // "type" is the older key. Where a file has both, the reference lets it win.
  const auto type =
      scaling.Get<std::string>("type", scaling.Get<std::string>("rope_type", "default"));
  if (type == "default") return std::nullopt;
  if (type == "linear") return LinearRope{.factor = Factor(scaling)};
  if (type == "dynamic") {
    if (config.head_dim == 2) {
      throw MakeError<DataError>("{}: rope_scaling of type 'dynamic' needs more than one pair",
                                 scaling.file());
    }
    return DynamicRope{.factor = Factor(scaling), .original_max_positions = config.max_positions};
  }
  if (type == "yarn") return ParseYarn(scaling, config.max_positions);
  if (type == "llama3") {
    return Llama3Rope{.factor = scaling.Get<double>("factor"),
                      .low_freq_factor = scaling.Get<double>("low_freq_factor"),
                      .high_freq_factor = scaling.Get<double>("high_freq_factor"),
                      .original_max_positions = scaling.Size("original_max_position_embeddings")};
  }
  throw MakeError<DataError>(
      "{}: rotary scaling of type '{}' ({}) is not supported (default, linear, dynamic, yarn, "
      "llama3)",
      scaling.file(), type, scaling.Full(scaling.Has("type") ? "type" : "rope_type"));
}

}  // namespace

RopeConfig ParseRope(const JsonReader& reader, const ModelConfig& config) {
  const auto turned = reader.Get<double>("partial_rotary_factor", 1);
  if (turned != 1) {
    throw MakeError<DataError>(
        "{}: partial_rotary_factor is {}: heads that are rotated in part are not supported",
        reader.file(), turned);
  }
  RopeConfig rope{.theta = reader.Get<double>("rope_theta", 10000.0)};
  // Newer files hold theta and scaling together under rope_parameters.
  const char* key = reader.Has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!reader.Has(key)) return rope;
  const JsonReader scaling = reader.Child(key);
  rope.theta = scaling.Get<double>("rope_theta", rope.theta);
  rope.scaling = ParseScaling(scaling, config);
  if (rope.theta <= 1) {
    throw MakeError<DataError>("{}: rope_theta is {}, expected a number above 1", reader.file(),
                               rope.theta);
  }
  return rope;
}

int64_t RequireWholeHeads(const JsonReader& reader, const ModelConfig& config) {
  if (config.hidden_size % config.num_heads != 0) {
    throw MakeError<DataError>("{}: hidden_size {} is not a multiple of num_attention_heads {}",
                               reader.file(), config.hidden_size, config.num_heads);
  }
  return config.hidden_size / config.num_heads;
}

ModelConfig ParseLlamaLike(const JsonReader& reader, const std::string& family,
                           const LlamaDefaults& defaults) {
  const std::string& file = reader.file();
  ModelConfig config;
  config.family = family;
  config.hidden_size = config.embedding_width = config.head_width = reader.Size("hidden_size");
  config.vocab_size = reader.Size("vocab_size");
  config.num_heads = reader.Count("num_attention_heads");
  config.num_kv_heads = config.num_heads;
  if (reader.Has("num_key_value_heads")) {
    config.num_kv_heads = reader.Count("num_key_value_heads");
  } else if (defaults.kv_heads && !reader.object().contains("num_key_value_heads")) {
    config.num_kv_heads = *defaults.kv_heads;
  }
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
  config.max_positions = reader.Has("max_position_embeddings")
                             ? reader.Size("max_position_embeddings")
                             : defaults.max_positions;
  config.norm = NormKind::kRms;
  config.norm_eps = reader.Get<double>("rms_norm_eps", 1e-6);
  config.activation = ParseActivation(reader);
  config.gated_mlp = true;
  config.rope = ParseRope(reader, config);
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
  if (config.rope && config.rope->scaling) {
    if (const auto* yarn = std::get_if<YarnRope>(&*config.rope->scaling)) {
      layer.attention_scale *= yarn->attention_factor * yarn->attention_factor;
    }
  }
  layer.in_width = layer.mid_width = layer.out_width = config.hidden_size;
  for (const Role role : biased) layer.linears[role].bias = true;
  for (int64_t l = 0, count = reader.Count("num_hidden_layers"); l < count; ++l) {
    layer.source = l;
    config.layers.push_back(layer);
  }
  return config;
}

WeightNames LlamaNames() {
  return {.prefixes = {"model.", ""},
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
