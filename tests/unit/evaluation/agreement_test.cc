// Agreement with the dense model: by the definition in float64, against values made by transformers
// (tests/golden/agreement), and what has to be true of any pair of models.
#include "evaluation/agreement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/system.h"
#include "checkpoint/json.h"
#include "evaluation/perplexity.h"
#include "model/causal_lm.h"
#include "model/stored/checkpoint_model.h"
#include "support/shared_data.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

EvaluationText RandomText(const TinyModelOptions& options, int64_t windows, int64_t window = 32) {
  EvaluationText text;
  const Tensor ids = TinyIds(options, windows * window);
  const int64_t* values = ids.const_data_ptr<int64_t>();
  text.ids.assign(values, values + ids.numel());
  text.window = window;
  text.windows = windows;
  text.source = "random";
  return text;
}

// A copy with changed parts.
struct Changes {
  std::function<void(Embedding&)> embedding = [](Embedding&) {};
  std::function<void(Block&)> block = [](Block&) {};
  std::function<void(Head&)> head = [](Head&) {};
};
std::unique_ptr<CausalLm> Changed(const ModelSource& model, const Changes& changes) {
  const InferenceScope inference;
  CausalLmBuilder builder("changed");
  Embedding embedding = model.LoadEmbedding();
  Head head = LoadHeadFor(model, embedding);
  changes.embedding(embedding);
  changes.head(head);
  builder.PutEmbedding(embedding);
  for (int64_t l = 0; l < model.config().num_layers(); ++l) {
    Block block = model.LoadBlock(l);
    changes.block(block);
    builder.PutBlock(l, block);
  }
  builder.PutHead(head);
  ModelConfig config = model.config();
  config.vocab_size = embedding.tokens.size(0);
  builder.Finish(config);
  return builder.Take();
}

std::unique_ptr<CausalLm> WithHalvedMlp(const ModelSource& model) {
  return Changed(
      model, {.block = [](Block& block) { block.mlp.down.weight = block.mlp.down.weight * 0.5; }});
}

void ExpectSame(const AgreementResult& a, const AgreementResult& b, double limit) {
  EXPECT_NEAR(a.kl_mean, b.kl_mean, limit);
  EXPECT_NEAR(a.kl_median, b.kl_median, limit);
  EXPECT_NEAR(a.kl_p99, b.kl_p99, limit);
  EXPECT_NEAR(a.kl_max, b.kl_max, limit);
  EXPECT_NEAR(a.top1_agree, b.top1_agree, limit);
  EXPECT_NEAR(a.top5_overlap, b.top5_overlap, limit);
  EXPECT_NEAR(a.dp_rms, b.dp_rms, limit);
  EXPECT_NEAR(a.nll_diff, b.nll_diff, limit);
  EXPECT_NEAR(a.kl_error, b.kl_error, limit);
}

class Agreement : public ::testing::TestWithParam<bool> {
 protected:
  Agreement() { options_.opt = GetParam(); }
  TinyModelOptions options_;
};

// Everything at once, in float64, from whole logits.
AgreementResult ByDefinition(const CausalLm& dense, const CausalLm& other,
                             const EvaluationText& text, int64_t vocabulary) {
  const InferenceScope inference;
  std::vector<Tensor> kl, top1, common, dp, nll;
  for (int64_t k = 0; k < text.windows; ++k) {
    const auto window = text.Window(k);
    const std::span<const TokenId> one[] = {window};
    const Tensor ids = StackIds(one, at::kCPU);
    const auto log_of = [&](const CausalLm& model) {
      return model.Logits(ids)[0]
          .narrow(0, 0, text.window - 1)
          .narrow(1, 0, vocabulary)
          .to(kF64)
          .log_softmax(-1);
    };
    const Tensor p = log_of(dense), q = log_of(other);
    const Tensor target = ids[0].narrow(0, 1, text.window - 1).unsqueeze(1);
    const Tensor p_t = p.gather(1, target).squeeze(1), q_t = q.gather(1, target).squeeze(1);
    kl.push_back((p.exp() * (p - q)).sum(-1));
    top1.push_back((p.argmax(-1) == q.argmax(-1)).to(kF64));
    const Tensor five_p = std::get<1>(p.topk(5)), five_q = std::get<1>(q.topk(5));
    common.push_back((five_p.unsqueeze(2) == five_q.unsqueeze(1)).to(kF64).sum({1, 2}) / 5);
    dp.push_back(q_t.exp() - p_t.exp());
    nll.push_back(p_t - q_t);
  }
  const auto value = [](const Tensor& x) { return x.item<double>(); };
  const auto error = [&](const std::vector<Tensor>& x) {
    return value(at::stack(x).mean(1).std()) / std::sqrt(static_cast<double>(x.size()));
  };
  const Tensor all = at::cat(kl);
  AgreementResult result;
  result.kl_mean = value(all.mean());
  result.kl_median = value(all.quantile(0.5));
  result.kl_p90 = value(all.quantile(0.9));
  result.kl_p99 = value(all.quantile(0.99));
  result.kl_max = value(all.max());
  result.top1_agree = value(at::cat(top1).mean());
  result.top5_overlap = value(at::cat(common).mean());
  result.dp_mean = value(at::cat(dp).mean());
  result.dp_rms = std::sqrt(value(at::cat(dp).square().mean()));
  result.nll_diff = value(at::cat(nll).mean());
  result.kl_error = error(kl);
  result.top1_error = error(top1);
  result.nll_diff_error = error(nll);
  return result;
}

TEST_P(Agreement, EqualsTheDefinition) {
  const auto dense = MakeTinyModel(options_), other = WithHalvedMlp(*dense);
  const EvaluationText text = RandomText(options_, 7);
  const AgreementResult result = EvaluateAgreement(*dense, *other, text);
  const AgreementResult expected = ByDefinition(*dense, *other, text, options_.vocab);
  ExpectSame(result, expected, 2e-6);
  EXPECT_NEAR(result.kl_p90, expected.kl_p90, 2e-6);
  EXPECT_NEAR(result.dp_mean, expected.dp_mean, 2e-6);
  EXPECT_NEAR(result.top1_error, expected.top1_error, 1e-9);
  EXPECT_NEAR(result.nll_diff_error, expected.nll_diff_error, 2e-6);
  EXPECT_EQ(result.positions, 7 * 31);
  EXPECT_EQ(result.window_kl.size(), 7u);
  EXPECT_GT(result.kl_mean, 0.01);
}

TEST_P(Agreement, OfAModelWithItselfIsExact) {
  const auto dense = MakeTinyModel(options_);
  const AgreementResult result = EvaluateAgreement(*dense, *dense, RandomText(options_, 3));
  EXPECT_EQ(result.kl_max, 0);
  EXPECT_EQ(result.top1_agree, 1);
  EXPECT_EQ(result.top5_overlap, 1);
  EXPECT_EQ(result.dp_rms, 0);
  EXPECT_EQ(result.nll_diff, 0);
}

TEST_P(Agreement, ThePerplexityRatioIsThatOfThePerplexities) {
  const auto dense = MakeTinyModel(options_), other = WithHalvedMlp(*dense);
  const EvaluationText text = RandomText(options_, 5);
  const double ratio =
      EvaluatePerplexity(*other, text).perplexity / EvaluatePerplexity(*dense, text).perplexity;
  EXPECT_NEAR(std::exp(EvaluateAgreement(*dense, *other, text).nll_diff) / ratio, 1, 1e-6);
}

TEST_P(Agreement, StreamedModelsAgreeLikeResidentOnes) {
  const auto dense = MakeTinyModel(options_), other = WithHalvedMlp(*dense);
  const EvaluationText text = RandomText(options_, 70);  // two batches
  const AgreementResult resident = EvaluateAgreement(*dense, *other, text);
  EXPECT_EQ(EvaluateAgreement(StreamedModel(*dense), StreamedModel(*other), text).window_kl,
            resident.window_kl);
  EXPECT_EQ(EvaluateAgreement(StreamedModel(*dense), *other, text).window_kl, resident.window_kl);
}

TEST_P(Agreement, DoesNotDependOnWhatIsComputedTogether) {
  const auto dense = MakeTinyModel(options_), other = WithHalvedMlp(*dense);
  EvaluationText text = RandomText(options_, 70);
  const AgreementResult together = EvaluateAgreement(*dense, *other, text);
  for (const int64_t k : {0, 1, 69}) {
    EvaluationText one = text;
    one.windows = 1;
    const auto ids = text.Window(k);
    one.ids = ids;
    EXPECT_NEAR(EvaluateAgreement(*dense, *other, one).kl_mean,
                together.window_kl[static_cast<size_t>(k)], 1e-6);
  }
}

TEST_P(Agreement, TakesTheFirstWindows) {
  const auto dense = MakeTinyModel(options_), other = WithHalvedMlp(*dense);
  const EvaluationText text = RandomText(options_, 6);
  const auto all = EvaluateAgreement(*dense, *other, text);
  const auto some = EvaluateAgreement(*dense, *other, text, {.first_windows = 2});
  EXPECT_EQ(some.windows, 2);
  EXPECT_NEAR(some.kl_mean, (all.window_kl[0] + all.window_kl[1]) / 2, 1e-7);
  EXPECT_EQ(EvaluateAgreement(*dense, *other, text, {.first_windows = 99}).windows, 6);
}

TEST_P(Agreement, IsOverTheVocabularyThatBothHave) {
  const auto dense = MakeTinyModel(options_);
  const auto pad = [](const Tensor& x) { return at::cat({x, at::ones({3, x.size(1)})}); };
  const auto padded =
      Changed(*WithHalvedMlp(*dense),
              {.embedding = [&](Embedding& embedding) { embedding.tokens = pad(embedding.tokens); },
               .head = [&](Head& head) { head.linear.weight = pad(head.linear.weight); }});
  const EvaluationText text = RandomText(options_, 3);
  const AgreementResult result = EvaluateAgreement(*dense, *padded, text);
  EXPECT_EQ(result.vocabulary_cut, 3);
  ExpectSame(result, ByDefinition(*dense, *padded, text, options_.vocab), 2e-6);
}

TEST_P(Agreement, AKeptReferenceServesManyModels) {
  const auto dense = MakeTinyModel(options_);
  const auto halved = WithHalvedMlp(*dense);
  const EvaluationText text = RandomText(options_, 6);
  const StreamedModel streamed(*dense);
  const std::vector<const ModelSource*> sources{dense.get(), &streamed};
  const std::vector<const ModelSource*> compressed{halved.get(), dense.get()};
  for (const ModelSource* source : sources) {
    AgreementReference reference(*source, text, {.first_windows = 5});
    EXPECT_EQ(reference.Bytes(), 5u * 32 * static_cast<uint64_t>(dense->config().hidden_size) * 4);
    for (int round = 0; round < 2; ++round) {
      for (const ModelSource* model : compressed) {
        EXPECT_EQ(EvaluateAgreement(reference, *model).window_kl,
                  EvaluateAgreement(*dense, *model, text, {.first_windows = 5}).window_kl);
      }
      reference.Keep();
    }
  }
}

TEST_P(Agreement, NamesTheModelAndLayerThatAreNotFinite) {
  const auto dense = MakeTinyModel(options_);
  const EvaluationText text = RandomText(options_, 3);
  const auto broken = Changed(*dense, {.block = [](Block& block) {
    if (block.source != 1) return;
    block.mlp.down.weight = block.mlp.down.weight.clone();
    block.mlp.down.weight[0][0] = std::nan("");
  }});
  const auto message = [&](const ModelSource& p, const ModelSource& q) -> std::string {
    try {
      EvaluateAgreement(p, q, text);
    } catch (const NumericError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(*dense, *broken),
            "window 0: logits of the compressed model are not finite at 31 of 31 positions; first "
            "seen after layer 1");
  EXPECT_EQ(message(*broken, *dense).substr(0, 33), "window 0: logits of the dense mod");
}

TEST_P(Agreement, RefusesWindowsLongerThanEitherModelSees) {
  const auto dense = MakeTinyModel(options_);
  EXPECT_THROW(EvaluateAgreement(*dense, *dense, RandomText(options_, 1, 129)), ConfigError);
}

INSTANTIATE_TEST_SUITE_P(Families, Agreement, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "opt" : "llama"; });

class AgreementOfBundled : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    model_ = CausalLm::Load(*CheckpointModel::Open(ModelFolder(GetParam())));
    tokenizer_ = LoadTokenizer(ModelFolder(GetParam()));
    text_ = EvaluationFromText(GoldenText("bundle/text/articles_nature.txt"), {256}, *tokenizer_);
  }
  std::unique_ptr<CausalLm> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  EvaluationText text_;
};

TEST_P(AgreementOfBundled, EqualsTransformers) {
  const auto golden = ReadJson(SourceFolder() / "tests/golden/agreement/values.json");
  const auto& rows = golden.at("rows");
  const auto row = std::find_if(rows.begin(), rows.end(), [](const auto& candidate) {
    return candidate.at("model") == GetParam();
  });
  ASSERT_NE(row, rows.end());
  const AgreementResult result =
      EvaluateAgreement(*model_, *WithHalvedMlp(*model_), text_,
                        {.first_windows = golden.at("windows").get<int64_t>()});
  const auto near = [&](double value, const char* name) {
    EXPECT_NEAR(value, row->at(name).template get<double>(), 2e-6) << name;
  };
  near(result.kl_mean, "kl_mean"), near(result.kl_median, "kl_median");
  near(result.kl_p90, "kl_p90"), near(result.kl_p99, "kl_p99");
  EXPECT_NEAR(result.kl_max, row->at("kl_max").get<double>(), 2e-5);
  near(result.dp_mean, "dp_mean"), near(result.dp_rms, "dp_rms");
  near(result.nll_diff, "nll_diff"), near(result.kl_error, "kl_error");
  near(result.nll_diff_error, "nll_diff_error");
  // A tie within rounding may fall either way: one position of 1530.
  EXPECT_NEAR(result.top1_agree, row->at("top1_agree").get<double>(), 1.0 / 1530);
  EXPECT_NEAR(result.top5_overlap, row->at("top5_overlap").get<double>(), 1.0 / 1530);
}

INSTANTIATE_TEST_SUITE_P(Models, AgreementOfBundled,
                         ::testing::Values("llama2-mini", "llama3-mini", "opt-mini"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

// The stream turned by an orthogonal matrix, with the gains of the norms moved into the weights:
// the same function, computed otherwise.
std::unique_ptr<CausalLm> Rotated(const CausalLm& model) {
  const InferenceScope inference;
  at::manual_seed(9);
  const int64_t width = model.config().hidden_size;
  const Tensor q = std::get<0>(at::linalg_qr(at::randn({width, width}, kF64)));
  const auto reads = [&](Linear& linear, const Tensor& gain) {
    linear.weight = at::matmul(linear.weight.to(kF64) * gain.to(kF64), q).to(kF32);
  };
  const auto writes = [&](Linear& linear) {
    linear.weight = at::matmul(q.t(), linear.weight.to(kF64)).to(kF32);
  };
  const auto plain = [](Norm& norm) { norm.weight = at::ones_like(norm.weight); };
  return Changed(model, {.embedding =
                             [&](Embedding& embedding) {
                               embedding.tokens = at::matmul(embedding.tokens.to(kF64), q).to(kF32);
                             },
                         .block =
                             [&](Block& block) {
                               Attention& attention = block.attention;
                               for (Linear* linear : {&attention.q, &attention.k, &attention.v}) {
                                 reads(*linear, block.norm1.weight);
                               }
                               for (Linear* linear : {&block.mlp.gate, &block.mlp.up}) {
                                 reads(*linear, block.norm2.weight);
                               }
                               writes(attention.o), writes(block.mlp.down);
                               plain(block.norm1), plain(block.norm2);
                             },
                         .head =
                             [&](Head& head) {
                               reads(head.linear, head.norm.weight);
                               plain(head.norm);
                             }});
}

TEST(AgreementOfRotated, IsThatOfTheSameFunction) {
  for (const char* name : {"llama2-mini", "llama3-mini"}) {
    const auto model = CausalLm::Load(*CheckpointModel::Open(ModelFolder(name)));
    const auto tokenizer = LoadTokenizer(ModelFolder(name));
    const EvaluationText text =
        EvaluationFromText(GoldenText("bundle/text/stories.txt"), {256}, *tokenizer);
    const AgreementResult result =
        EvaluateAgreement(*model, *Rotated(*model), text, {.first_windows = 8});
    EXPECT_LT(result.kl_mean, 1e-6);
    EXPECT_GT(result.kl_max, 0);
    EXPECT_GT(result.top1_agree, 0.999);
  }
}

// LLaMA-3's vocabulary and a window of 4096: whole logits would take 2 GiB for each model.
TEST(AgreementMemory, StaysFarBelowAGigabyteBeyondTheModels) {
  TinyModelOptions options;
  options.vocab = 128000;
  options.layers = 1;
  const auto make = [&](uint64_t seed) {
    options.seed = seed;
    const auto model = MakeTinyModel(options);
    return Changed(*model, {});
  };
  const auto dense = make(1), other = make(2);
  const EvaluationText text = RandomText(options, 32, 128);
  if (!ResetPeakResident()) GTEST_SKIP() << "the peak cannot be reset here";
  const uint64_t before = CurrentResidentBytes();
  EvaluateAgreement(*dense, *other, text);
  const uint64_t more = PeakResidentBytes() - before;
  RecordProperty("bytes", std::to_string(more));
  EXPECT_LT(more, uint64_t{400} << 20);
}

}  // namespace
}  // namespace condense
