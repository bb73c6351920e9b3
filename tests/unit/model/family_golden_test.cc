// Families, biases, rotary scaling and windows against transformers: logits of tiny models whose
// weights follow from the names of the tensors (tests/golden/families/make.py).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/json.h"
#include "model/causal_lm.h"
#include "model/loss.h"
#include "model/stored/checkpoint_model.h"
#include "model/stored/checkpoint_sink.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"

namespace condense {
namespace {

using nlohmann::json;

// The rule of weights() in make.py.
Tensor RecipeTensor(const std::string& name, const std::vector<int64_t>& shape) {
  uint64_t seed = 0xCBF29CE484222325;
  for (const char c : name) seed = (seed ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  Tensor tensor = at::empty(shape, kF32);
  float* out = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    uint64_t x = seed + 0x9E3779B97F4A7C15 * static_cast<uint64_t>(i + 1);
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    x ^= x >> 31;
    double value = static_cast<double>(x >> 40) / (1 << 23) - 1;
    if (has("norm")) {
      value = 1 + value / 4;
    } else if (has("q_proj") || has("k_proj")) {
      value /= 2;
    } else if (!has("embed")) {
      value /= 4;
    }
    out[i] = static_cast<float>(value);
  }
  return tensor;
}

const json& Golden() {
  static const json golden = ReadJson(GoldenFile("families/values.json"));
  return golden;
}

class FamilyGolden : public testing::TestWithParam<std::string> {
 protected:
  FamilyGolden() : case_(Golden().at("cases").at(GetParam())), place_(folder_.path() / "model") {
    CheckpointWriter writer(place_);
    for (const auto& [name, shape] : case_.at("shapes").items()) {
      writer.Add(name, RecipeTensor(name, shape.get<std::vector<int64_t>>()));
    }
    writer.AddFile("config.json", case_.at("config").dump(2));
    writer.Finish();
  }

  static Tensor Ids(const json& row) {
    return at::tensor(row.at("ids").get<std::vector<int64_t>>(), kI64).unsqueeze(0);
  }
  static Tensor Positions(const json& row) {
    return at::tensor(row.at("positions").get<std::vector<int64_t>>(), kI64);
  }
  static Tensor Logits(const json& row) {
    std::vector<Tensor> lines;
    for (const auto& line : row.at("logits")) {
      lines.push_back(at::tensor(line.get<std::vector<double>>(), kF64));
    }
    return at::stack(lines);
  }
  static double LargestDifference(const Tensor& a, const Tensor& b) {
    return (a.to(kF64) - b.to(kF64)).abs().max().item<double>();
  }
  // All tokens of a sequence as one packed batch.
  static Tensor PackedLogits(const CausalLm& model, const Tensor& ids) {
    const PackedLayout layout({{.begin = 0, .end = ids.size(1)}});
    Tensor x = model.embedding().Forward(ids, layout);
    for (const Block& block : model.blocks()) x = block.Forward(x, {.layout = &layout});
    return model.head().Forward(x);
  }

  TempFolder folder_;
  const json& case_;
  std::filesystem::path place_;
  InferenceScope inference_;
};

TEST_P(FamilyGolden, LogitsAgree) {
  const auto model = CausalLm::Load(*CheckpointModel::Open(place_));
  for (const json& row : case_.at("rows")) {
    const Tensor ids = Ids(row);
    ASSERT_LE(ids.size(1), model->config().LongestText());
    const Tensor logits = model->Logits(ids);
    EXPECT_LT(LargestDifference(logits[0].index_select(0, Positions(row)), Logits(row)), 2e-4);
    const Tensor nll = NextTokenNll(model->head(), model->Hidden(ids), ids);
    EXPECT_NEAR(nll.mean().item<double>(), row.at("nll").get<double>(), 1e-5);
  }
}

TEST_P(FamilyGolden, EveryFormOfAttentionAgrees) {
  const auto model = CausalLm::Load(*CheckpointModel::Open(place_));
  for (const json& row : case_.at("rows")) {
    const Tensor ids = Ids(row), expected = model->Logits(ids);
    {
      const at::AutoGradMode record(true);  // the composed form
      std::vector<Block> blocks = model->blocks();
      Tensor x = model->embedding().Forward(ids).requires_grad_();
      for (const Block& block : blocks) x = block.Forward(x);
      EXPECT_LT(LargestDifference(model->head().Forward(x).detach(), expected), 1e-4);
    }
    const auto stretch = StretchOf(model->config());
    if (stretch && ids.size(1) > stretch->original_max_positions) {
      // In a packed batch the length of the one sequence is not that of the other.
      EXPECT_THROW(PackedLogits(*model, ids), DataError);
      continue;
    }
    EXPECT_LT(LargestDifference(PackedLogits(*model, ids), expected), 1e-4);
    KvCache cache;
    std::vector<Tensor> parts;
    for (const int64_t count : {ids.size(1) - 3, int64_t{1}, int64_t{2}}) {
      parts.push_back(model->Logits(ids.narrow(1, cache.tokens(), count), &cache));
    }
    EXPECT_LT(LargestDifference(at::cat(parts, 1), expected), 1e-4);
  }
}

TEST_P(FamilyGolden, ACompressedModelComesBackBitForBit) {
  const auto dense = CheckpointModel::Open(place_);
  const auto out = folder_.path() / "compressed";
  ModelConfig config = dense->config().Derived();
  CausalLmBuilder builder("made");
  CheckpointSink sink(*dense, out, {.dtype = {}});
  const Embedding embedding = dense->LoadEmbedding();
  for (ModelSink* to : {static_cast<ModelSink*>(&sink), static_cast<ModelSink*>(&builder)}) {
    to->PutEmbedding(embedding);
    for (int64_t l = 0; l < config.num_layers(); ++l) {
      Block block = dense->LoadBlock(l);
      block.attention.KeepQueryKeyUnits({{0, 2}, {1, 2}}, /*rotary=*/true);
      block.mlp.KeepChannels(at::arange(5, 40 - 3 * l, kI64));
      config.layers[static_cast<size_t>(l)] = ShapeOf(block);
      to->PutBlock(l, block);
    }
    to->PutHead(LoadHeadFor(*dense, embedding));
    to->Finish(config);
  }
  const auto made = builder.Take();
  const auto loaded = CausalLm::Load(*CheckpointModel::Open(out));
  EXPECT_EQ(loaded->config().layers, made->config().layers);
  for (const json& row : case_.at("rows")) {
    EXPECT_TRUE(at::equal(loaded->Logits(Ids(row)), made->Logits(Ids(row))));
  }
}

std::vector<std::string> CaseNames() {
  std::vector<std::string> names;
  for (const auto& [name, values] : Golden().at("cases").items()) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Cases, FamilyGolden, testing::ValuesIn(CaseNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace condense
