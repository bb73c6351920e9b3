// Perplexity as llama.cpp measures it (protocols.md 1.5), and intervals of perplexities.
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "evaluation/perplexity.h"
#include "evaluation/protocol_evaluation.h"
#include "model/causal_lm.h"
#include "model/stored/checkpoint_model.h"
#include "support/shared_data.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

class Chunked : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto folder = ModelFolder(GetParam());
    model_ = CausalLm::Load(*CheckpointModel::Open(folder));
    tokenizer_ = LoadTokenizer(folder);
    const NamedProtocol named = ReadPerplexityProtocol(
        "p", Node::ParseText("{family: chunked, corpus: c, split: s, chunk: 64}", "p.yaml"));
    const std::string stories = ReadFile(GoldenText("bundle/text/stories.txt"));
    text_ = EvaluationFromChunks(named, {"c", "s", stories.substr(0, 4000), ""}, *tokenizer_);
  }
  std::unique_ptr<CausalLm> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  EvaluationText text_;
};

TEST_P(Chunked, ScoresTheSecondHalfOfChunksThatBeginWithTheFirstToken) {
  const InferenceScope inference;
  const PerplexityResult result = EvaluatePerplexity(*model_, text_);
  double sum = 0;
  int64_t count = 0;
  for (int64_t k = 0; k < result.windows; ++k) {
    std::vector<TokenId> chunk(text_.ids.begin() + k * 64, text_.ids.begin() + (k + 1) * 64);
    const std::vector<TokenId> original = chunk;
    chunk[0] = tokenizer_->Encode("a", SpecialTokens::kAdd).front();
    const std::span<const TokenId> one[] = {chunk};
    const Tensor log_p = model_->Logits(StackIds(one, at::kCPU))[0].to(kF64).log_softmax(-1);
    for (int64_t position = 32; position <= 62; ++position) {
      sum -= log_p[position][original[static_cast<size_t>(position) + 1]].item<double>();
      ++count;
    }
  }
  EXPECT_GT(result.windows, 10);
  EXPECT_EQ(text_.targets(), count);
  EXPECT_NEAR(result.mean_nll, sum / static_cast<double>(count), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Models, Chunked,
                         ::testing::Values("llama2-mini", "llama3-mini", "opt-mini"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

class Intervals : public ::testing::Test {
 protected:
  void SetUp() override {
    const Tensor ids = TinyIds(options_, 40 * 32);
    const int64_t* values = ids.const_data_ptr<int64_t>();
    text_.ids.assign(values, values + 40 * 32);
    text_.window = 32;
    text_.windows = 40;
    text_.source = "p";
    text_.ids_sha256 = "00";
  }
  TinyModelOptions options_;
  EvaluationText text_;
};

TEST_F(Intervals, OfThePerplexityAreDeterministicAndHoldIt) {
  const auto model = MakeTinyModel(options_);
  const PerplexityResult first = EvaluatePerplexity(*model, text_);
  const PerplexityResult second = EvaluatePerplexity(*model, text_);
  EXPECT_EQ(first.bootstrap.low, second.bootstrap.low);
  EXPECT_EQ(first.bootstrap.high, second.bootstrap.high);
  EXPECT_TRUE(first.bootstrap.Contains(first.perplexity));
  EXPECT_LT(first.bootstrap.low, first.bootstrap.high);
  // Windows of random ids are independent, so both intervals are about the same.
  const double width = std::exp(first.mean_nll + 1.96 * first.standard_error) -
                       std::exp(first.mean_nll - 1.96 * first.standard_error);
  EXPECT_NEAR((first.bootstrap.high - first.bootstrap.low) / width, 1, 0.35);
}

TEST_F(Intervals, OfOneWindowAreThePerplexity) {
  const auto model = MakeTinyModel(options_);
  text_.windows = 1;
  const PerplexityResult result = EvaluatePerplexity(*model, text_);
  EXPECT_DOUBLE_EQ(result.bootstrap.low, result.perplexity);
  EXPECT_DOUBLE_EQ(result.bootstrap.high, result.perplexity);
}

TEST_F(Intervals, ProtocolsOfAnyFamilyGiveNamedValues) {
  const auto model = MakeTinyModel(options_);
  const RollingText rolling{
      .source = "r", .pages = {{text_.Window(0), 9, 50}}, .prefix = 1, .ids_sha256 = "01"};
  for (const ProtocolText& text : {ProtocolText(text_), ProtocolText(rolling)}) {
    const ProtocolMeasurement measured = EvaluateProtocol(*model, text);
    EXPECT_FALSE(measured.ids_sha256.empty());
    EXPECT_FALSE(measured.series.empty());
    for (const MeasuredValue& value : measured.values) {
      EXPECT_EQ(FindMetric(value.metric->name), *value.metric);
      EXPECT_TRUE(std::isfinite(value.value)) << value.metric->name;
    }
  }
  EXPECT_EQ(EvaluateProtocol(*model, text_).values.front().value,
            EvaluatePerplexity(*model, text_).perplexity);
  EXPECT_EQ(EvaluateProtocol(*model, rolling).values.front().metric->name, "word_perplexity");
}

}  // namespace
}  // namespace condense
