// OPT: LayerNorm, learned positions with an offset of two, ReLU, biases everywhere, tied head.
#include "config/registry.h"
#include "model/stored/families/common.h"

namespace condense {
namespace {

class Opt final : public ModelFamily {
 public:
  std::vector<std::string> ModelTypes() const override { return {"opt"}; }

  ModelConfig Parse(const nlohmann::json& json, const std::string& file) const override {
    const JsonReader reader(json, file);
    RefuseVariants(reader);
    ModelConfig config;
    config.family = "opt";
    config.hidden_size = config.embedding_width = config.head_width = reader.Size("hidden_size");
    config.vocab_size = reader.Size("vocab_size");
    config.num_heads = config.num_kv_heads = reader.Count("num_attention_heads");
    config.head_dim = RequireWholeHeads(reader, config);
    config.intermediate_size = reader.Size("ffn_dim");
    config.max_positions = reader.Size("max_position_embeddings");
    config.norm = NormKind::kLayer;
    config.norm_eps = 1e-5;
    config.activation = Activation::kRelu;
    config.gated_mlp = false;
    config.position_offset = 2;
    config.position_rows = config.max_positions + config.position_offset;
    config.tied_head = reader.Get<bool>("tie_word_embeddings", true);
    const bool biased = reader.Get<bool>("enable_bias", true);
    const std::vector<Role> roles = biased ? LinearRoles(config) : std::vector<Role>();
    return WithUniformLayers(reader, roles, std::move(config));
  }

  const WeightNames& Names() const override {
    static const WeightNames names{.prefixes = {"model.decoder.", "decoder.", ""},
                                   .token_embedding = "embed_tokens",
                                   .position_embedding = "embed_positions",
                                   .final_norm = "final_layer_norm",
                                   .head = "lm_head",
                                   .block = "layers.{}.",
                                   .norm1 = "self_attn_layer_norm",
                                   .norm2 = "final_layer_norm",
                                   .linears = {{Role::kQuery, "self_attn.q_proj"},
                                               {Role::kKey, "self_attn.k_proj"},
                                               {Role::kValue, "self_attn.v_proj"},
                                               {Role::kOutput, "self_attn.out_proj"},
                                               {Role::kUp, "fc1"},
                                               {Role::kDown, "fc2"}},
                                   .ignored = {}};
    return names;
  }

 private:
  static void RefuseVariants(const JsonReader& reader) {
    const std::string& file = reader.file();
    if (!reader.Get<bool>("do_layer_norm_before", true)) {
      throw MakeError<DataError>(
          "{}: do_layer_norm_before is false: OPT-350m normalises after each sublayer and projects "
          "its embeddings, which this program does not compute; every other OPT size works",
          file);
    }
    const auto hidden = reader.Size("hidden_size");
    if (reader.Get<int64_t>("word_embed_proj_dim", hidden) != hidden) {
      throw MakeError<DataError>(
          "{}: word_embed_proj_dim differs from hidden_size: projected embeddings (OPT-350m) are "
          "not supported; every other OPT size works",
          file);
    }
    if (reader.Get<bool>("_remove_final_layer_norm", false)) {
      throw MakeError<DataError>("{}: _remove_final_layer_norm is true, which is not supported",
                                 file);
    }
    if (!reader.Get<bool>("layer_norm_elementwise_affine", true)) {
      throw MakeError<DataError>(
          "{}: layer_norm_elementwise_affine is false, which is not supported", file);
    }
    const auto activation = reader.Get<std::string>("activation_function", "relu");
    if (activation != "relu") {
      throw MakeError<DataError>("{}: activation_function '{}' is not supported (relu)", file,
                                 activation);
    }
  }
};

CONDENSE_REGISTER(ModelFamily, Opt, "opt", 1, "OPT, every size but 350m");

}  // namespace
}  // namespace condense
