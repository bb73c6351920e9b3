// What a family has to say, and what it need not.
#include "model/stored/family.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "config/registry.h"
#include "model/stored/families/common.h"

namespace condense {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::ThrowsMessage;

// A family built like LLaMA, but with biases of its own (as Qwen2 has them).
class BiasedReaders final : public ModelFamily {
 public:
  std::vector<std::string> ModelTypes() const override { return {"biased-readers"}; }
  ModelConfig Parse(const json& config, const std::string& file) const override {
    const JsonReader reader(config, file);
    if (reader.Get<bool>("use_sliding_window", false)) {
      throw MakeError<DataError>("{}: use_sliding_window is true, which is not supported", file);
    }
    return WithUniformLayers(reader, {Role::kQuery, Role::kKey, Role::kValue},
                             ParseLlamaLike(reader, "biased_readers"));
  }
  const WeightNames& Names() const override {
    static const WeightNames names = LlamaNames();
    return names;
  }
};
CONDENSE_REGISTER(ModelFamily, BiasedReaders, "biased_readers", 1, "of this test");

json LlamaJson() {
  return {{"model_type", "llama"},    {"hidden_size", 32},
          {"vocab_size", 61},         {"num_hidden_layers", 3},
          {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"intermediate_size", 48},  {"max_position_embeddings", 128}};
}

TEST(Family, OneLikeLlamaSaysOnlyWhatDiffers) {
  json text = LlamaJson();
  text["model_type"] = "biased-readers";
  const ModelFamily& family = FamilyOf(text, "config.json");
  const ModelConfig config = family.Parse(text, "config.json");
  const ModelConfig llama = FamilyNamed("llama").Parse(LlamaJson(), "config.json");
  EXPECT_EQ(config.family, "biased_readers");
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.rope.value().theta, llama.rope.value().theta);
  ASSERT_EQ(config.num_layers(), 3);
  for (int64_t l = 0; l < 3; ++l) {
    LayerConfig layer = config.layers[static_cast<size_t>(l)];
    EXPECT_EQ(layer.source, l);
    EXPECT_TRUE(layer.linears[Role::kQuery].bias);
    EXPECT_FALSE(layer.linears[Role::kOutput].bias);
    layer.linears = {};
    EXPECT_EQ(layer, llama.layers[static_cast<size_t>(l)]);
  }
  text["use_sliding_window"] = true;
  EXPECT_THAT([&] { family.Parse(text, "config.json"); },
              ThrowsMessage<DataError>(HasSubstr("use_sliding_window")));
}

TEST(Family, LlamaHasBiasesWhereItsConfigSaysSo) {
  json text = LlamaJson();
  text["attention_bias"] = true;
  const LayerConfig attention = FamilyNamed("llama").Parse(text, "config.json").layers[1];
  text["mlp_bias"] = true;
  const LayerConfig all = FamilyNamed("llama").Parse(text, "config.json").layers[1];
  for (const Role role : kRoles) {
    EXPECT_EQ(attention.linears[role].bias, ModuleOf(role) != Module::kMlp) << RoleName(role);
    EXPECT_TRUE(all.linears[role].bias) << RoleName(role);
  }
}

TEST(Family, RefusesSizesThatDoNotFitTogether) {
  const auto parse = [](const char* key, int64_t value) {
    json text = LlamaJson();
    text[key] = value;
    return [text] { FamilyNamed("llama").Parse(text, "config.json"); };
  };
  EXPECT_THAT(parse("num_key_value_heads", 3),
              ThrowsMessage<DataError>(HasSubstr("cannot share 3 key/value heads evenly")));
  EXPECT_THAT(parse("hidden_size", 34),
              ThrowsMessage<DataError>(HasSubstr("not a multiple of num_attention_heads")));
  EXPECT_THAT(parse("head_dim", 7), ThrowsMessage<DataError>(HasSubstr("head_dim 7 is odd")));
}

TEST(Family, RefusesRotaryScalingThatItDoesNotCompute) {
  const auto parse = [](json scaling) {
    json text = LlamaJson();
    text["rope_scaling"] = std::move(scaling);
    return [text] { FamilyNamed("llama").Parse(text, "config.json"); };
  };
  for (const char* key : {"type", "rope_type"}) {
    for (const char* type : {"mrope", "longrope", "su"}) {
      EXPECT_THAT(parse({{key, type}, {"factor", 2.0}}),
                  ThrowsMessage<DataError>(HasSubstr(std::string("type '") + type + "'")));
    }
  }
  EXPECT_THAT(parse({{"type", "linear"}}), ThrowsMessage<DataError>(HasSubstr("factor")));
  EXPECT_THAT(parse({{"type", "dynamic"}, {"factor", 0}}),
              ThrowsMessage<DataError>(HasSubstr("'rope_scaling.factor' is 0")));
  EXPECT_THAT(parse({{"type", "linear"}, {"factor", "two"}}),
              ThrowsMessage<DataError>(HasSubstr("expected a number")));
  json partial = LlamaJson();
  partial["partial_rotary_factor"] = 0.5;
  EXPECT_THAT([&] { FamilyNamed("llama").Parse(partial, "config.json"); },
              ThrowsMessage<DataError>(HasSubstr("partial_rotary_factor")));
}

TEST(Family, MistralHasItsWindowUnlessTheFileSaysNull) {
  const auto window = [](const json& keys) {
    json text = LlamaJson();
    text["model_type"] = "mistral";
    text.update(keys);
    return FamilyOf(text, "config.json").Parse(text, "config.json").layers.back().window;
  };
  EXPECT_EQ(window(json::object()), 4096);
  EXPECT_EQ(window({{"sliding_window", nullptr}}), 0);
  EXPECT_EQ(window({{"sliding_window", 17}}), 17);
}

TEST(Family, QwenHasWindowsWhereItsFileSwitchesThemOn) {
  const auto windows = [](const json& keys) {
    json text = LlamaJson();
    text["model_type"] = "qwen2";
    text["sliding_window"] = 9;
    text.update(keys);
    std::vector<int64_t> all;
    for (const auto& layer : FamilyOf(text, "config.json").Parse(text, "config.json").layers) {
      all.push_back(layer.window);
    }
    return all;
  };
  using Windows = std::vector<int64_t>;
  EXPECT_EQ(windows({{"max_window_layers", 0}}), Windows({0, 0, 0}));
  EXPECT_EQ(windows({{"use_sliding_window", true}}), Windows({0, 0, 0}));  // from layer 28 on
  EXPECT_EQ(windows({{"use_sliding_window", true}, {"max_window_layers", 1}}), Windows({0, 9, 9}));
  EXPECT_EQ(windows({{"use_sliding_window", true},
                     {"layer_types", {"sliding_attention", "full_attention", "full_attention"}}}),
            Windows({9, 0, 0}));
  EXPECT_THAT(
      [&] {
        windows({{"use_sliding_window", true}, {"layer_types", {"linear"}}});
      },
      ThrowsMessage<DataError>(HasSubstr("layer_types")));
}

TEST(BlockTensorName, IsThatOfTheFamily) {
  const WeightNames& llama = FamilyNamed("llama").Names();
  const WeightNames& opt = FamilyNamed("opt").Names();
  const auto name = [](const WeightNames& names, const char* role_name) {
    return BlockTensorName(names, names.prefixes.front(), 12, role_name);
  };
  EXPECT_EQ(name(llama, "attention.q.weight"), "model.layers.12.self_attn.q_proj.weight");
  EXPECT_EQ(name(llama, "mlp.down.A"), "model.layers.12.mlp.down_proj.A");
  EXPECT_EQ(name(llama, "norm2.weight"), "model.layers.12.post_attention_layernorm.weight");
  EXPECT_EQ(name(llama, "attention.rope_pairs"), "model.layers.12.self_attn.rope_pairs");
  EXPECT_EQ(name(llama, "mlp_shortcut"), "model.layers.12.mlp_shortcut");
  EXPECT_EQ(name(opt, "attention.o.bias"), "model.decoder.layers.12.self_attn.out_proj.bias");
  EXPECT_EQ(name(opt, "norm1.bias"), "model.decoder.layers.12.self_attn_layer_norm.bias");
  EXPECT_EQ(name(opt, "mlp.up.weight"), "model.decoder.layers.12.fc1.weight");
}

}  // namespace
}  // namespace condense
