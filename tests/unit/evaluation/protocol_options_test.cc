// What the parameters of a protocol do to a perplexity (protocols.md 1.2).
#include <gtest/gtest.h>

#include <cmath>

#include "evaluation/perplexity.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

class ProtocolOptions : public testing::Test {
 protected:
  EvaluationText Text() const {
    EvaluationText text;
    const Tensor ids = TinyIds(options_, 96);
    const int64_t* values = ids.const_data_ptr<int64_t>();
    text.ids.assign(values, values + 96);
    text.window = 32;
    text.windows = 3;
    return text;
  }
  TinyModelOptions options_;
};

TEST_F(ProtocolOptions, IgnoredTargetsDoNotCount) {
  const auto model = MakeTinyModel(options_);
  EvaluationText text = Text();
  const double plain = EvaluatePerplexity(*model, text).mean_nll;
  text.ignore_id = text.ids[5];
  for (int64_t k = 0; k < text.windows; ++k) {
    const auto window = text.Window(k);
    text.ignored_targets += std::count(window.begin() + 1, window.end(), *text.ignore_id);
  }
  ASSERT_GT(text.ignored_targets, 0);
  const double means = EvaluatePerplexity(*model, text).mean_nll;
  EXPECT_NE(means, plain);
  // Over all targets, by hand: the sum without the ignored ones, divided by their number.
  text.average = LossAverage::kTokens;
  const InferenceScope inference;
  double sum = 0;
  int64_t count = 0;
  for (int64_t k = 0; k < text.windows; ++k) {
    const auto window = text.Window(k);
    const std::span<const TokenId> one[] = {window};
    const Tensor logits = model->Logits(StackIds(one, at::kCPU))[0].to(kF64).log_softmax(-1);
    for (size_t t = 1; t < window.size(); ++t) {
      if (window[t] == *text.ignore_id) continue;
      sum -= logits[static_cast<int64_t>(t) - 1][window[t]].item<double>();
      ++count;
    }
  }
  EXPECT_NEAR(EvaluatePerplexity(*model, text).mean_nll, sum / static_cast<double>(count), 1e-5);
}

TEST_F(ProtocolOptions, EmulatedLossIsRoundedToTheLogits) {
  options_.dtype = kBF16;
  const auto model = MakeTinyModel(options_);
  EvaluationText text = Text();
  const double exact = EvaluatePerplexity(*model, text).mean_nll;
  text.loss_dtype = LossDtype::kEmulated;
  const double rounded = EvaluatePerplexity(*model, text).mean_nll;
  EXPECT_NE(rounded, exact);
  EXPECT_NEAR(rounded, exact, 0.05);
}

}  // namespace
}  // namespace condense
