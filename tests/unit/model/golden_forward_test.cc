// Forward passes against values made by transformers (fp32, eager attention): logits, hidden
// states, token log-probabilities and greedy generations of the golden models.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/json.h"
#include "model/causal_lm.h"
#include "model/loss.h"
#include "model/stored/checkpoint_model.h"
#include "support/real_model.h"

namespace condense {
namespace {

double LargestDifference(const Tensor& a, const Tensor& b) {
  return (a.to(kF64) - b.to(kF64)).abs().max().item<double>();
}

// Hidden states [..., width] agree within 1e-4 (1 + |x|), and 4 units in the last place of float32 of the
// largest value of their row. A row of SmolLM2 holds values of 25,000 beside others below 1, in which
// sums leave their rounding: in the last block, transformers in float32 is itself up to 1.3e-4 (1 + |x|)
// from float64, and 1.2e-4 from its stored values on another machine.
void ExpectSameStates(const Tensor& ours, const Tensor& theirs) {
  const Tensor wide = theirs.to(kF64).abs();
  const Tensor limit = 1e-4 * (1 + wide) + 4 * 1.1920929e-7 * wide.amax(-1, /*keepdim=*/true);
  const Tensor excess = (ours.to(kF64) - theirs.to(kF64)).abs() / limit;
  EXPECT_LT(excess.max().item<double>(), 1);
}

class GoldenModel : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path Folder() const { return AnyModelFolder(GetParam()); }
  std::filesystem::path Golden(const std::string& part, const std::string& ending) const {
    return GoldenFile(GoldenOfModel(part, GetParam(), ending));
  }
  InferenceScope inference_;
};

TEST_P(GoldenModel, LogitsAndHiddenStatesAgree) {
  CONDENSE_SKIP_WITHOUT(Golden("forward", ".safetensors"));
  CONDENSE_SKIP_WITHOUT(Folder());
  const auto golden = ReadTensors(Golden("forward", ".safetensors"));
  const auto model = CausalLm::Load(*CheckpointModel::Open(Folder()));
  for (const std::string sequence : {"seq0.", "seq1.", "seq2."}) {
    const Tensor ids = golden.at(sequence + "ids").to(kI64).unsqueeze(0);
    const Tensor positions = golden.at(sequence + "positions").to(kI64);
    const auto at_positions = [&](const Tensor& x) { return x[0].index_select(0, positions); };
    EXPECT_LT(LargestDifference(at_positions(model->Logits(ids)), golden.at(sequence + "logits")),
              2e-4);

    const Tensor hidden = golden.at(sequence + "hidden");  // [layers + 2, positions, width]
    Tensor x = model->embedding().Forward(ids);
    ExpectSameStates(at_positions(x), hidden[0]);
    for (size_t l = 0; l < model->blocks().size(); ++l) {
      x = model->blocks()[l].Forward(x);
      ExpectSameStates(at_positions(x), hidden[static_cast<int64_t>(l) + 1]);
    }
    ExpectSameStates(at_positions(model->head().norm.Forward(x)), hidden[hidden.size(0) - 1]);
    if (golden.count(sequence + "token_logprob")) {
      const Tensor nll = NextTokenNll(model->head(), x, ids)[0];
      EXPECT_LT(LargestDifference(-nll, golden.at(sequence + "token_logprob")), 2e-4);
    }
  }
}

TEST_P(GoldenModel, ABlockThatIsLoadedAloneRuns) {
  CONDENSE_SKIP_WITHOUT(Folder());
  const auto source = CheckpointModel::Open(Folder());
  const auto model = CausalLm::Load(*source);
  const Tensor ids = at::arange(7, 7 + 24, kI64).unsqueeze(0);
  const Tensor x = model->embedding().Forward(ids);
  EXPECT_TRUE(at::equal(source->LoadBlock(1).Forward(x), model->blocks()[1].Forward(x)));
  // Its copy in another dtype too: the angles stay those of float32.
  const Block wide = Converted(source->LoadBlock(1), kF64, at::kCPU);
  ExpectSameStates(model->blocks()[1].Forward(x), wide.Forward(x.to(kF64)));
}

TEST_P(GoldenModel, BlocksShareTheRotaryFrequencies) {
  CONDENSE_SKIP_WITHOUT(Folder());
  const auto source = CheckpointModel::Open(Folder());
  const auto model = CausalLm::Load(*source);
  const auto frequencies = [](const ModelSource& from, int64_t l) {
    return from.LoadBlock(l).attention.rope_frequencies;
  };
  for (const ModelSource* from :
       {static_cast<ModelSource*>(source.get()), static_cast<ModelSource*>(model.get())}) {
    EXPECT_EQ(frequencies(*from, 0).defined(), from->config().HasRope());
    EXPECT_TRUE(frequencies(*from, 0).is_same(frequencies(*from, 1)));
  }
}

TEST_P(GoldenModel, GreedyGenerationIsEqual) {
  CONDENSE_SKIP_WITHOUT(Golden("generation", ".json"));
  CONDENSE_SKIP_WITHOUT(Folder());
  const auto model = CausalLm::Load(*CheckpointModel::Open(Folder()));
  const auto eos = ReadJson(Folder() / "config.json").at("eos_token_id").get<int64_t>();
  const auto golden_rows = ReadJson(Golden("generation", ".json")).at("rows");
  for (const auto& row : golden_rows) {
    const auto prompt = row.at("prompt_ids").get<std::vector<int32_t>>();
    const auto expected = row.at("ids").get<std::vector<int32_t>>();
    const auto margin = row.at("margin").get<std::vector<double>>();
    const auto generated = GenerateGreedy(*model, prompt, 32, eos);
    for (size_t i = 0; i < expected.size() && margin[i] >= 1e-3; ++i) {
      ASSERT_LT(i, generated.size());
      EXPECT_EQ(generated[i], expected[i]) << row.at("prompt") << " step " << i;
    }
  }
}

TEST_P(GoldenModel, CachedStepsEqualTheFullPass) {
  CONDENSE_SKIP_WITHOUT(Golden("forward", ".safetensors"));
  CONDENSE_SKIP_WITHOUT(Folder());
  const auto golden = ReadTensors(Golden("forward", ".safetensors"));
  const auto model = CausalLm::Load(*CheckpointModel::Open(Folder()));
  const Tensor ids = golden.at("seq2.ids").to(kI64).unsqueeze(0);
  const Tensor full = model->Logits(ids);
  KvCache cache;
  std::vector<Tensor> parts;
  for (const int64_t count : {100, 1, 1, 154}) {
    parts.push_back(model->Logits(ids.narrow(1, cache.tokens(), count), &cache));
  }
  EXPECT_LT(LargestDifference(at::cat(parts, 1), full), 1e-4);
}

TEST_P(GoldenModel, GradientsAgree) {
  CONDENSE_SKIP_WITHOUT(Golden("training", ".json"));
  const auto model = CausalLm::Load(*CheckpointModel::Open(Folder()));
  const auto golden = ReadTensors(Golden("training", ".safetensors"));
  const auto expected = ReadJson(Golden("training", ".json"));
  at::AutoGradMode record(true);
  std::vector<Block> blocks = model->blocks();
  std::vector<std::pair<std::string, Tensor>> parameters;
  for (size_t l = 0; l < blocks.size(); ++l) {
    blocks[l].ForEachTensor([&](const std::string& name, Tensor& tensor) {
      if (!tensor.defined()) return;
      tensor = tensor.clone().requires_grad_();
      parameters.emplace_back("block " + std::to_string(l) + " " + name, tensor);
    });
  }
  const Tensor ids = golden.at("ids")[0].to(kI64);
  Tensor x = model->embedding().Forward(ids);
  for (const Block& block : blocks) x = block.Forward(x);
  const Tensor loss = NextTokenNll(model->head(), x, ids).mean();
  EXPECT_NEAR(loss.item<double>(), expected.at("loss").get<double>(), 1e-5);
  loss.backward();
  // Norms of all gradients inside the blocks, in sum: the golden lists them by checkpoint name.
  double ours = 0, theirs = 0;
  for (const auto& [name, tensor] : parameters) {
    ASSERT_TRUE(tensor.grad().defined()) << name;
    ours += tensor.grad().to(kF64).square().sum().item<double>();
  }
  for (const auto& row : expected.at("gradients")) {
    if (row.at("parameter").get<std::string>().find("layers.") == std::string::npos) continue;
    theirs += std::pow(row.at("norm").get<double>(), 2);
  }
  EXPECT_NEAR(std::sqrt(ours / theirs), 1, 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenModel,
                         testing::Values("llama2-mini", "llama3-mini", "opt-mini", "stories260k",
                                         kRealModel),
                         [](const auto& info) { return TestName(info.param); });

}  // namespace
}  // namespace condense
