#include "model/stored/synthesis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/json.h"
#include "config/node.h"
#include "config/paths.h"
#include "model/parameters.h"
#include "model/stored/family.h"
#include "model/stored/stored_model.h"
#include "support/temp_folder.h"

namespace condense {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::ThrowsMessage;

const json kLlama{{"model_type", "llama"},
                  {"hidden_size", 32},
                  {"num_hidden_layers", 2},
                  {"num_attention_heads", 4},
                  {"num_key_value_heads", 2},
                  {"intermediate_size", 80},
                  {"vocab_size", 61},
                  {"rms_norm_eps", 1e-5},
                  {"max_position_embeddings", 64},
                  {"tie_word_embeddings", false}};
const json kOpt{{"model_type", "opt"},          {"hidden_size", 32}, {"num_hidden_layers", 2},
                {"num_attention_heads", 4},     {"ffn_dim", 80},     {"vocab_size", 61},
                {"max_position_embeddings", 64}};

TEST(Synthesis, IsAModelThatLoadsAndRuns) {
  const InferenceScope inference;
  for (const json& config : {kLlama, kOpt}) {
    const TempFolder folder;
    const auto place = folder.path() / "model";
    const SynthesizedModel made = SynthesizeModel(config, "test", place, {.dtype = kF32});
    const StoredModel model(place, {});
    EXPECT_EQ(made.parameters, CountParameters(model.config()).Total());
    const CausalLm& loaded = dynamic_cast<const CausalLm&>(model.source());
    const Tensor logits = loaded.Logits(at::arange(20, kI64).view({1, 20}));
    EXPECT_TRUE(at::isfinite(logits).all().item<bool>());
  }
}

TEST(Synthesis, DependsOnTheSeedAlone) {
  const TempFolder folder;
  const auto weights = [&](const char* name, uint64_t seed) {
    SynthesizeModel(kLlama, "test", folder.path() / name, {.seed = seed});
    return ReadFile(folder.path() / name / "model.safetensors");
  };
  const std::string first = weights("a", 1);
  EXPECT_EQ(first, weights("b", 1));
  EXPECT_NE(first, weights("c", 2));
}

// A few directions of a matrix carry much of its energy, and its rows differ in scale.
TEST(Synthesis, MatricesHaveFallingSpectra) {
  const InferenceScope inference;
  const TempFolder folder;
  json config = kLlama;
  config["hidden_size"] = 256, config["intermediate_size"] = 512, config["num_hidden_layers"] = 1;
  SynthesizeModel(config, "test", folder.path() / "m", {.dtype = kF32});
  const Tensor up = StoredModel(folder.path() / "m", {}).source().LoadBlock(0).mlp.up.weight;
  const Tensor energy = at::linalg_svdvals(up.to(kF64)).square();
  const double top = (energy.narrow(0, 0, 26).sum() / energy.sum()).item<double>();
  EXPECT_GT(top, 0.35);  // a tenth of the directions; of pure noise less than a quarter
  EXPECT_LT(top, 0.95);
  const Tensor rows = up.norm(2, {1});
  EXPECT_GT((rows.max() / rows.median()).item<double>(), 2);
  EXPECT_NEAR(up.square().mean().sqrt().item<double>(), 1 / 16.0, 0.2 / 16);
}

TEST(Synthesis, RefusesAFolderThatIsThere) {
  const TempFolder folder;
  WriteFileAtomically(folder.path() / "file", "x");
  EXPECT_THAT([&] { SynthesizeModel(kLlama, "test", folder.path(), {}); },
              ThrowsMessage<ConfigError>(HasSubstr("is there already")));
  json wrong = kLlama;
  wrong["num_key_value_heads"] = 3;
  EXPECT_THROW(SynthesizeModel(wrong, "test", folder.path() / "new", {}), DataError);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "new"));
}

// The published parameter counts of real models, from the shapes that configs/models declares.
TEST(Synthesis, DeclaredShapesHaveTheDeclaredParameters) {
  int shapes = 0;
  for (const std::string& name : ListConfigs("models")) {
    const Node node = Node::ParseFile(NamedConfig("models", name));
    const Node* config = node.Find("config");
    if (config == nullptr) continue;
    const json parsed = json::parse(CanonicalText(*config));
    const ModelConfig model = FamilyOf(parsed, name).Parse(parsed, name);
    EXPECT_EQ(std::to_string(CountParameters(model).Total()), node.Find("parameters")->text())
        << name;
    EXPECT_EQ(model.family, node.Find("family")->text()) << name;
    ++shapes;
  }
  EXPECT_GE(shapes, 15);
}

}  // namespace
}  // namespace condense
