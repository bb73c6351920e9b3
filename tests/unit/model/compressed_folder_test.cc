// Compressed models in folders: uneven, factored, sliced and shared blocks come back bit for bit.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/json.h"
#include "model/causal_lm.h"
#include "model/parameters.h"
#include "model/stored/checkpoint_sink.h"
#include "model/stored/compressed_config.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"

namespace condense {
namespace {

std::filesystem::path Bundled(const std::string& name) {
  return SourceFolder() / "configs/bundled/models" / name;
}

Tensor SomeIds() {
  at::manual_seed(3);
  return at::randint(4000, {2, 24}, kI64);
}

// The blocks of `dense` after `change`, written to a folder.
template <class Change>
ModelConfig Write(const std::string& model, const std::filesystem::path& folder, Change&& change) {
  const auto dense = CheckpointModel::Open(Bundled(model));
  CheckpointSink sink(*dense, folder, {.dtype = {}});
  const Embedding embedding = dense->LoadEmbedding();
  sink.PutEmbedding(embedding);
  ModelConfig config = dense->config().Derived();
  for (int64_t l = 0; l < config.num_layers(); ++l) {
    Block block = dense->LoadBlock(l);
    change(l, block);
    config.layers[static_cast<size_t>(l)] = ShapeOf(block);
    sink.PutBlock(l, block);
  }
  Head head = dense->LoadHead();
  if (config.tied_head) head.linear.weight = embedding.tokens;
  sink.PutHead(head);
  sink.Finish(config);
  return config;
}

TEST(CompressedFolder, SharedBlocksAreStoredOnceAndShareOneStorage) {
  const TempFolder folder;
  const InferenceScope inference;
  const auto path = folder.path() / "folded";
  Block parent;
  const ModelConfig config = Write("llama3-mini", path, [&](int64_t l, Block& block) {
    if (l == 1) parent = block;
    if (l != 2) return;
    block.shares_with = 1;
    for (const Role role : kRoles) block.LinearOf(role).weight = parent.LinearOf(role).weight;
  });
  EXPECT_EQ(Checkpoint::Open(path).Has("model.layers.2.mlp.up_proj.weight"), false);
  const auto loaded = CausalLm::Load(*CheckpointModel::Open(path));
  const auto& blocks = loaded->blocks();
  EXPECT_EQ(blocks[2].mlp.up.weight.data_ptr(), blocks[1].mlp.up.weight.data_ptr());
  EXPECT_NE(blocks[2].norm1.weight.data_ptr(), blocks[1].norm1.weight.data_ptr());
  const ParameterCount count = CountParameters(config);
  EXPECT_EQ(count.executed, CountParameters(config.Dense()).block);
  EXPECT_EQ(count.block * 6, count.executed * 5);
}

TEST(CompressedFolder, FactoredMapsComeBackBitForBit) {
  const TempFolder folder;
  const InferenceScope inference;
  const auto path = folder.path() / "factored";
  std::vector<Block> made;
  Write("opt-mini", path, [&](int64_t l, Block& block) {
    if (l % 2 == 0) {
      Linear& down = block.mlp.down;
      at::manual_seed(static_cast<uint64_t>(l));
      const int64_t in = down.in(), out = down.out();
      down.a = at::randn({20 + l, in});
      down.b = at::randn({out, 20 + l});
      down.weight = Tensor();
    }
    made.push_back(block);
  });
  const auto loaded = CheckpointModel::Open(path);
  for (int64_t l = 0; l < 6; ++l) {
    Block block = loaded->LoadBlock(l);
    std::map<std::string, Tensor> expected;
    made[static_cast<size_t>(l)].ForEachTensor(
        [&](const std::string& name, Tensor& tensor) { expected[name] = tensor; });
    block.ForEachTensor([&](const std::string& name, Tensor& tensor) {
      ASSERT_EQ(tensor.defined(), expected[name].defined()) << name;
      if (!tensor.defined()) return;
      EXPECT_TRUE(at::equal(tensor, expected[name])) << name;
    });
  }
}

TEST(CompressedFolder, SavesToTheSameBytesAgainAndMayBeMoved) {  // T67, T68
  const TempFolder folder;
  const InferenceScope inference;
  const auto narrow = [](int64_t l, Block& block) {
    block.mlp.KeepChannels(at::arange(0, 100 + 40 * l, kI64));
  };
  const auto first = folder.path() / "first", second = folder.path() / "second";
  Write("llama2-mini", first, narrow);
  Write("llama2-mini", second, narrow);
  EXPECT_EQ(ReadFile(first / "model.safetensors"), ReadFile(second / "model.safetensors"));
  EXPECT_EQ(ReadFile(first / "config.json"), ReadFile(second / "config.json"));
  const Tensor before = CausalLm::Load(*CheckpointModel::Open(first))->Logits(SomeIds());
  const auto moved = folder.path() / "elsewhere";
  std::filesystem::rename(first, moved);
  EXPECT_TRUE(at::equal(CausalLm::Load(*CheckpointModel::Open(moved))->Logits(SomeIds()), before));
}

TEST(CompressedFolder, OtherProgramsReadItOrRefuseIt) {
  const TempFolder folder;
  const InferenceScope inference;
  const auto type = [](const std::filesystem::path& path) {
    return ReadJson(path / "config.json").at("model_type").get<std::string>();
  };
  // Other values in the same shapes: an ordinary checkpoint.
  const auto same = folder.path() / "same";
  Write("llama3-mini", same, [](int64_t, Block& block) { block.mlp.up.weight.mul(2); });
  EXPECT_EQ(type(same), "llama");
  // Narrowed: of a type that nobody else knows.
  const auto narrow = folder.path() / "narrow";
  Write("llama3-mini", narrow,
        [](int64_t, Block& block) { block.mlp.KeepChannels(at::arange(0, 100, kI64)); });
  EXPECT_EQ(type(narrow), kCompressedType);
  const auto file = ReadJson(narrow / "config.json");
  EXPECT_EQ(file.at("condense").at("base").at("model_type"), "llama");
  EXPECT_EQ(file.at("architectures"), nlohmann::json::array({"CondenseForCausalLM"}));
  EXPECT_EQ(CheckpointModel::Open(narrow)->config().family, "llama");
}

TEST(CompressedFolder, AModelOfFewerBlocksIsAnOrdinaryCheckpoint) {
  const TempFolder folder;
  const InferenceScope inference;
  for (const char* name : {"llama3-mini", "opt-mini"}) {
    const auto path = folder.path() / name;
    const auto dense = CheckpointModel::Open(Bundled(name));
    CheckpointSink sink(*dense, path, {.dtype = {}});
    const Embedding embedding = dense->LoadEmbedding();
    sink.PutEmbedding(embedding);
    ModelConfig config = dense->config().Derived();
    config.layers.clear();
    for (const int64_t l : {0, 1, 3, 5}) {
      sink.PutBlock(config.num_layers(), dense->LoadBlock(l));
      config.layers.push_back(ShapeOf(dense->LoadBlock(l)));
    }
    sink.PutHead(LoadHeadFor(*dense, embedding));
    sink.Finish(config);
    const auto before = CausalLm::Load(*CheckpointModel::Open(path));
    EXPECT_EQ(before->config().Dense().num_layers(), 6);
    EXPECT_EQ(before->config().layers[3].source, 5);
    // What another program reads: the file without the object.
    auto file = ReadJson(path / "config.json");
    EXPECT_EQ(file.at("num_hidden_layers"), 4);
    file.erase("condense");
    WriteJson(path / "config.json", file);
    const auto plain = CausalLm::Load(*CheckpointModel::Open(path));
    EXPECT_TRUE(plain->config().IsDense());
    EXPECT_TRUE(at::equal(plain->Logits(SomeIds()), before->Logits(SomeIds())));
  }
}

TEST(CompressedFolder, AWrongWidthInTheConfigNamesTheTensor) {  // T69
  const TempFolder folder;
  const auto path = folder.path() / "model";
  Write("llama2-mini", path,
        [](int64_t, Block& block) { block.mlp.KeepChannels(at::arange(0, 300, kI64)); });
  auto config = ReadJson(path / "config.json");
  auto& condense = config.at("condense");
  condense.at("layers")[4].at("mlp").at("width") = 299;
  condense.at("accounting").at("parameters") =
      condense.at("accounting").at("parameters").get<int64_t>() - 3 * 192;
  WriteJson(path / "config.json", config);
  try {
    CheckpointModel::Open(path);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("model.layers.4.mlp"), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.what()).find("[300, 192]"), std::string::npos) << error.what();
  }
}

TEST(Rope, LlamaThreeScalingLeavesHighFrequenciesAndSlowsLowOnes) {
  // LLaMA-3.1-8B: theta 500000, factor 8, low 1, high 4, original 8192, head 128.
  const RopeConfig plain{.theta = 500000, .scaling = {}};
  RopeConfig scaled = plain;
  scaled.scaling = Llama3Rope{
      .factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_max_positions = 8192};
  const Tensor a = RopeFrequencies(plain, 128), b = RopeFrequencies(scaled, 128);
  const Tensor wavelength = 2 * M_PI / a;
  for (int64_t p = 0; p < 64; ++p) {
    const double length = wavelength[p].item<double>();
    const double ratio = (a[p] / b[p]).item<double>();
    if (length < 8192.0 / 4) {
      EXPECT_FLOAT_EQ(ratio, 1);
    } else if (length > 8192.0) {
      EXPECT_FLOAT_EQ(ratio, 8);
    } else {
      EXPECT_TRUE(ratio > 1 && ratio < 8) << p;
    }
  }
}

}  // namespace
}  // namespace condense
