// The ablation switches of MoDeGPT on tiny models of each kind: each one runs and makes another
// model than the published recipe does, except where methods.md says that it has no effect.
#include <gtest/gtest.h>

#include "unit/compression/compressed_models.h"

namespace condense {
namespace {

// Eight rotary pairs a head: a choice that the switches can change.
TinyModelOptions WideHeads(TinyModelOptions options) {
  options.head_dim = 16;
  return options;
}

class Switches : public testing::TestWithParam<TinyModelOptions> {
 protected:
  bool opt() const { return GetParam().opt; }
  Tensor Logits(const std::string& yaml) {
    return CompressTo(tiny_, yaml).model->Logits(TinyIds({}));
  }
  // Whether an option makes a difference to modegpt.
  bool Changes(const std::string& option) { return Differ("", option); }
  bool Differ(const std::string& one, const std::string& other) {
    return !at::equal(Logits("{use: modegpt, " + one + "}"),
                      Logits("{use: modegpt, " + other + "}"));
  }
  TinyModel tiny_{WideHeads(GetParam())};
  InferenceScope inference_;
};

TEST_P(Switches, ModulesGoOffOneByOneAndInPairs) {
  const std::vector<std::string> settings{
      "",
      ", modules: {qk: false, vo: false}",
      ", modules: {mlp: false, vo: false}",
      ", modules: {mlp: false, qk: false}",
      ", modules: {mlp: false}",
      ", modules: {qk: false}",
      ", modules: {vo: false}",
  };
  // At one fraction for every module that is on: what is left then differs.
  std::vector<Tensor> logits;
  for (const std::string& setting : settings) {
    const Compressed compressed = CompressFixed(tiny_, "{use: modegpt" + setting + "}",
                                                {.mlp = 0.25, .qk = 0.25, .vo = 0.25});
    logits.push_back(compressed.model->Logits(TinyIds({})));
    for (const LayerReport& layer : compressed.result.report.layers) {
      EXPECT_EQ(layer.modules.count("mlp"), setting.find("mlp: false") == std::string::npos);
      EXPECT_EQ(layer.modules.count("qk"), setting.find("qk: false") == std::string::npos);
      EXPECT_EQ(layer.modules.count("vo"), setting.find("vo: false") == std::string::npos);
    }
    for (size_t i = 0; i + 1 < logits.size(); ++i) {
      EXPECT_FALSE(at::equal(logits[i], logits.back())) << settings[i] << " and " << setting;
    }
  }
}

TEST_P(Switches, OneModuleAloneCanMeetARatio) {
  for (const std::string alone : {"{qk: false, vo: false}", "{mlp: false, vo: false}"}) {
    const Compressed compressed = CompressTo(tiny_, "{use: modegpt, modules: " + alone + "}", 0.1);
    EXPECT_GE(compressed.result.ratios.block, 0.1 - 1e-12);
    EXPECT_LT(compressed.result.ratios.block, 0.16);
  }
}

TEST_P(Switches, StatisticsBeforeOrAfterTheRotation) {
  // Without rotary positions the two are one statistic.
  const std::string scores = "qk_pair_score: exact, qk_gain: best, qk_stat: ";
  EXPECT_EQ(Differ(scores + "pre_rope", scores + "post_rope"), !opt());
}

TEST_P(Switches, RidgeOfTheLeverageScores) {
  EXPECT_TRUE(Changes("lambda: 1e8"));
  EXPECT_TRUE(Changes("refit_mu: 0.1"));
  // The scale is what lambda refers to: 1 per token is N in all.
  const double tokens = static_cast<double>(tiny_.statistics.tokens().tokens());
  EXPECT_TRUE(at::equal(Logits("{use: modegpt, gram_scale: per_token, lambda: 2}"),
                        Logits(fmt::format("{{use: modegpt, lambda: {}}}", 2 * tokens))));
}

TEST_P(Switches, OnePassOrSequential) {
  EXPECT_TRUE(Changes("refresh: layer"));
  EXPECT_TRUE(Changes("refresh: module"));
  EXPECT_TRUE(Differ("refresh: module", "refresh: layer"));
}

TEST_P(Switches, GainsOfQueries) {
  EXPECT_TRUE(Changes("qk_gain: best"));
  if (opt()) {
    EXPECT_TRUE(Changes("qk_gain: core"));
    EXPECT_TRUE(Changes("qk_gain: svd"));
    EXPECT_FALSE(Differ("qk_gain: svd", "qk_gain: best"));
  } else {
    EXPECT_FALSE(Differ("qk_gain: complex", "qk_gain: best"));
  }
}

TEST_P(Switches, SvdOfQueriesAndKeysBeatsColumnSelection) {
  if (!opt()) return;  // needs a model without rotary positions
  // The report's error is of the scores over all pairs of tokens, whose tail the SVD attains.
  const auto error = [&](const std::string& gain) {
    double sum = 0;
    const Compressed compressed =
        CompressFixed(tiny_, "{use: modegpt, qk_gain: " + gain + "}", {.qk = 0.5});
    for (const LayerReport& layer : compressed.result.report.layers) {
      sum += *layer.modules.at("qk").relative_error;
    }
    return sum;
  };
  EXPECT_LT(error("svd"), error("core"));
  EXPECT_LT(error("core"), error("none"));
}

TEST_P(Switches, PartsOfTheRecipe) {
  EXPECT_TRUE(Changes("mlp_selector: random"));
  EXPECT_TRUE(Changes("refit: none"));
  EXPECT_EQ(Changes("refit_bias: intercept"), opt());  // needs an output bias
  EXPECT_TRUE(Changes("vo_stat: attended"));
  EXPECT_TRUE(Changes("vo_group: single"));
  EXPECT_TRUE(Changes("vo_center: true"));
  EXPECT_TRUE(Changes("vo_refit: joint_heads"));
  EXPECT_TRUE(Changes("head_budget: pooled"));
}

INSTANTIATE_TEST_SUITE_P(Models, Switches, testing::Values(kLlama, kGrouped, kOpt),
                         [](const auto& info) { return FamilyName(info.param); });

}  // namespace
}  // namespace condense
