// Word perplexities against lm-evaluation-harness 0.4.13 itself (tests/golden/rolling).
#include "evaluation/rolling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/json.h"
#include "model/causal_lm.h"
#include "model/stored/checkpoint_model.h"
#include "support/shared_data.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

// The variants of the golden file and the protocols that stand for them.
const std::map<std::string, std::string> kProtocols = {{"word", "wikitext-lmeval-word"},
                                                       {"word-bos", "wikitext-lmeval-word-bos"},
                                                       {"word-eos", "wikitext-lmeval-word-eos"}};

void ExpectEqual(const nlohmann::json& row, const CorpusText& corpus) {
  SCOPED_TRACE(row.at("model").dump() + row.at("variant").dump() + row.at("max_length").dump());
  const auto folder = ModelFolder(row.at("model").get<std::string>());
  NamedProtocol named = LoadPerplexityProtocol(kProtocols.at(row.at("variant")));
  std::get<RollingProtocol>(named.rules).max_length = row.at("max_length").get<int64_t>();
  const RollingText text = RollingFromCorpus(named, corpus, *LoadTokenizer(folder));
  EXPECT_EQ(text.text_sha256, row.at("detokenized_sha256").get<std::string>());
  const auto model = CausalLm::Load(*CheckpointModel::Open(folder));
  const RollingResult result = EvaluateRolling(*model, text);
  EXPECT_EQ(result.words, row.at("words").get<int64_t>());
  EXPECT_EQ(result.bytes, row.at("bytes").get<int64_t>());
  EXPECT_EQ(result.tokens, row.at("tokens").get<int64_t>());
  const auto pages = row.at("first_pages").get<std::vector<double>>();
  for (size_t p = 0; p < pages.size(); ++p) {
    EXPECT_NEAR(result.page_log_likelihood.at(p) / pages[p], 1, 1e-6);
  }
  EXPECT_NEAR(result.log_likelihood / row.at("log_likelihood").get<double>(), 1, 1e-6);
  EXPECT_NEAR(result.word_perplexity / row.at("word_perplexity").get<double>(), 1, 5e-6);
  EXPECT_NEAR(result.byte_perplexity / row.at("byte_perplexity").get<double>(), 1, 5e-6);
  EXPECT_DOUBLE_EQ(result.bits_per_byte, std::log2(result.byte_perplexity));
}

TEST(RollingPerplexity, EqualsTheHarness) {
  const auto golden = ReadJson(SourceFolder() / "tests/golden/rolling/values.json");
  for (const auto& text : golden.at("texts")) {
    const auto file = GoldenText(text.at("file").get<std::string>());
    if (!std::filesystem::exists(file)) continue;  // WikiText-2 does not ship
    const CorpusText corpus{"c", "s", ReadFile(file), ""};
    for (const auto& row : text.at("rows")) ExpectEqual(row, corpus);
  }
}

TEST(RollingPerplexity, EqualsAForwardPassOfEachWindow) {
  const TinyModelOptions options;
  const auto model = MakeTinyModel(options);
  RollingText text{.source = "p", .pages = {}, .prefix = 1, .max_length = 16};
  const Tensor ids = TinyIds(options, 70);
  const int64_t* values = ids.const_data_ptr<int64_t>();
  text.pages.push_back({{values, values + 41}, 9, 50});
  text.pages.push_back({{}, 1, 1});
  text.pages.push_back({{values + 41, values + 70}, 7, 40});
  const RollingResult result = EvaluateRolling(*model, text);
  EXPECT_EQ(result.windows, 5);
  EXPECT_EQ(result.tokens, 70);
  const InferenceScope inference;
  double sum = 0;
  for (const RollingPage& page : text.pages) {
    for (const EncodedRequest& window : RollingWindows(page.ids, 1, 16)) {
      const std::vector<TokenId> input = window.Input();
      const std::span<const TokenId> one[] = {input};
      const Tensor log_p = model->Logits(StackIds(one, at::kCPU))[0].to(kF64).log_softmax(-1);
      const auto first = static_cast<int64_t>(input.size() - window.continuation.size());
      for (size_t t = 0; t < window.continuation.size(); ++t) {
        sum += log_p[first + static_cast<int64_t>(t)][window.continuation[t]].item<double>();
      }
    }
  }
  EXPECT_NEAR(result.log_likelihood, sum, 1e-4);
  EXPECT_DOUBLE_EQ(result.word_perplexity, std::exp(-result.log_likelihood / 17));
  EXPECT_DOUBLE_EQ(result.bits_per_byte, -result.log_likelihood / 91 / std::log(2));
}

TEST(RollingPerplexity, RefusesInputsLongerThanTheModelSees) {
  const auto model = MakeTinyModel({});
  const RollingText text{.source = "p", .pages = {{{3, 4}, 1, 1}}, .prefix = 1, .max_length = 129};
  EXPECT_THROW(EvaluateRolling(*model, text), ConfigError);
}

}  // namespace
}  // namespace condense
