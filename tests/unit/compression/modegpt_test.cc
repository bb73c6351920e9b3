// MoDeGPT as a method: options, plans, widths, biases, refreshed statistics, trials.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "compression/selectors/channel_selector.h"
#include "unit/compression/compressed_models.h"

namespace condense {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

bool SameTensors(Block a, Block b) {
  std::vector<Tensor> left, right;
  a.ForEachTensor([&](const std::string&, Tensor& t) { left.push_back(t); });
  b.ForEachTensor([&](const std::string&, Tensor& t) { right.push_back(t); });
  for (size_t i = 0; i < left.size(); ++i) {
    if (left[i].defined() != right[i].defined()) return false;
    if (left[i].defined() && !at::equal(left[i], right[i])) return false;
  }
  return true;
}

bool SameLinear(const Linear& a, const Linear& b) {
  return at::equal(a.weight, b.weight) && a.bias.defined() == b.bias.defined() &&
         (!a.bias.defined() || at::equal(a.bias, b.bias));
}

// --- Conformance ---------------------------------------------------------------------------------

class EveryOption : public testing::TestWithParam<TinyModelOptions> {};

TEST_P(EveryOption, RunsMeetsTheRatioAndRepeats) {
  TinyModel tiny(GetParam());
  const bool opt = GetParam().opt;
  std::vector<std::string> settings{"modegpt",
                                    "modegpt_plus",
                                    "{use: modegpt, gram_scale: per_token, lambda: 0.01}",
                                    "{use: modegpt, gram_scale: per_sequence}",
                                    "{use: modegpt, refit: min_norm}",
                                    "{use: modegpt, refit: none}",
                                    "{use: modegpt, refit_mu: 0.01}",
                                    "{use: modegpt, refit_bias: intercept}",
                                    "{use: modegpt, qk_stat: pre_rope}",
                                    "{use: modegpt, qk_pair_score: norm}",
                                    "{use: modegpt, qk_pair_score: exact}",
                                    "{use: modegpt, qk_group: sum}",
                                    "{use: modegpt, qk_gain: best}",
                                    "{use: modegpt, vo_stat: attended}",
                                    "{use: modegpt, vo_group: single}",
                                    "{use: modegpt, vo_center: true}",
                                    "{use: modegpt, vo_center: where_biased}",
                                    "{use: modegpt, vo_refit: joint_heads}",
                                    "{use: modegpt, vo_balance: published}",
                                    "{use: modegpt, head_budget: pooled}",
                                    "{use: modegpt_plus, head_budget: pooled}",
                                    "{use: modegpt, refresh: layer}",
                                    "{use: modegpt, refresh: module}",
                                    "{use: modegpt, rounding: floor}",
                                    "{use: modegpt, rounding: nearest}",
                                    "{use: modegpt, mlp_unit: 16, qk_unit: 4, vo_unit: 2}"};
  for (const std::string gain : {"complex", "core", "svd"}) {
    if ((gain == "complex") != opt) settings.push_back("{use: modegpt, qk_gain: " + gain + "}");
  }
  for (const std::string& selector : Registry<ChannelSelector>::Instance().Names()) {
    settings.push_back("{use: modegpt, mlp_selector: " + selector + "}");
  }
  for (const std::string& setting : settings) {
    SCOPED_TRACE(setting);
    const Compressed one = CompressTo(tiny, setting), two = CompressTo(tiny, setting);
    EXPECT_GE(one.result.ratios.block, 0.3 - 1e-12);
    EXPECT_LT(one.result.ratios.block, 0.45);
    const Tensor logits = one.model->Logits(TinyIds({}));
    EXPECT_TRUE(at::isfinite(logits).all().item<bool>());
    EXPECT_TRUE(at::equal(logits, two.model->Logits(TinyIds({}))));
    EXPECT_EQ(one.result.report.layers.size(), tiny.model->blocks().size());
  }
}

TEST_P(EveryOption, KeepsTheModelAtRatioZero) {
  TinyModel tiny(GetParam());
  for (const std::string method : {"modegpt", "modegpt_plus"}) {
    const Compressed same = CompressTo(tiny, method, 0);
    for (int64_t l = 0; l < 3; ++l) {
      EXPECT_TRUE(SameTensors(tiny.model->LoadBlock(l), same.model->LoadBlock(l)));
    }
  }
}

TEST_P(EveryOption, CopiesModulesOfFullWidthBitForBit) {  // T5, T17, T20
  TinyModel tiny(GetParam());
  for (const std::string method : {"modegpt", "modegpt_plus"}) {
    const Compressed same = CompressFixed(tiny, method, {});
    const Compressed narrow = CompressFixed(tiny, method, {.mlp = 0.5});
    for (int64_t l = 0; l < 3; ++l) {
      const Block dense = tiny.model->LoadBlock(l);
      EXPECT_TRUE(SameTensors(dense, same.model->LoadBlock(l)));
      Block half = narrow.model->LoadBlock(l);
      EXPECT_EQ(half.mlp.down.in(), 24);
      half.mlp = dense.mlp;
      EXPECT_TRUE(SameTensors(dense, half));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EveryOption, testing::Values(kLlama, kGrouped, kOpt),
                         [](const auto& info) { return FamilyName(info.param); });

// --- Plans, widths, biases -----------------------------------------------------------------------

TEST(ModeGpt, CompressesOnlyTheModulesThatAreSwitchedOn) {
  TinyModel tiny(kGrouped);
  const Compressed compressed =
      CompressTo(tiny, "{use: modegpt, modules: {mlp: true, qk: false, vo: false}}", 0.3);
  EXPECT_GE(compressed.result.ratios.block, 0.3 - 1e-12);
  EXPECT_LT(compressed.result.ratios.block, 0.31);
  EXPECT_GT(compressed.result.nominal, 0.4);
  for (int64_t l = 0; l < 3; ++l) {
    Block block = compressed.model->LoadBlock(l);
    block.mlp = tiny.model->LoadBlock(l).mlp;
    EXPECT_TRUE(SameTensors(tiny.model->LoadBlock(l), block));
  }
  EXPECT_THAT([] { Method("{use: modegpt, modules: {mlp: false, qk: false, vo: false}}"); },
              ThrowsMessage<ConfigError>(HasSubstr("at least one module")));
}

TEST(ModeGpt, PooledBudgetsKeepTheTotalOfEachLayer) {
  for (const TinyModelOptions& options : {kLlama, kGrouped, kOpt}) {
    TinyModel tiny(options);
    bool uneven = false;
    for (const std::string setting :
         {"{use: modegpt, head_budget: pooled}", "{use: modegpt_plus, head_budget: pooled}"}) {
      const Compressed pooled = CompressFixed(tiny, setting, {.mlp = 0.25, .qk = 0.5, .vo = 0.5});
      for (const LayerConfig& layer : pooled.model->config().layers) {
        int64_t qk = 0, vo = 0;
        for (const HeadConfig& head : layer.heads) {
          EXPECT_GE(head.qk_width, options.opt ? 1 : 2);
          EXPECT_EQ(options.opt ? 0 : head.qk_width % 2, 0);
          EXPECT_GE(head.vo_width, 1);
          EXPECT_LE(std::max(head.qk_width, head.vo_width), 8);
          qk += head.qk_width, vo += head.vo_width;
          uneven = uneven || head.qk_width != 4 || head.vo_width != 4;
        }
        EXPECT_EQ(qk, 4 * static_cast<int64_t>(layer.heads.size()));
        EXPECT_EQ(vo, 4 * static_cast<int64_t>(layer.heads.size()));
      }
    }
    EXPECT_TRUE(uneven);
  }
}

TEST(ModeGpt, AbsorbsTheValueBiasAndAddsOnesOnlyToCentre) {
  TinyModel opt(kOpt), llama(kLlama);
  const ModuleSparsity half{.vo = 0.5};
  const auto biases = [](const Compressed& compressed) {
    const Attention& attention = compressed.model->blocks()[0].attention;
    return std::pair{attention.v.bias.defined(), attention.o.bias.defined()};
  };
  EXPECT_EQ(biases(CompressFixed(opt, "modegpt", half)), std::pair(false, true));
  EXPECT_EQ(biases(CompressFixed(opt, "modegpt_plus", half)), std::pair(true, true));
  EXPECT_EQ(biases(CompressFixed(llama, "modegpt_plus", half)), std::pair(false, false));
  EXPECT_EQ(biases(CompressFixed(llama, "{use: modegpt, vo_center: true}", half)),
            std::pair(true, true));
}

TEST(ModeGpt, RefusesWhatDoesNotGoWithTheModel) {
  TinyModel opt(kOpt), llama(kLlama);
  EXPECT_THAT([&] { CompressFixed(opt, "{use: modegpt, qk_gain: complex}", {}); },
              ThrowsMessage<ConfigError>(HasSubstr("use 'core' or 'svd'")));
  EXPECT_THAT([&] { CompressFixed(llama, "{use: modegpt, qk_gain: svd}", {}); },
              ThrowsMessage<ConfigError>(HasSubstr("use 'complex'")));
  EXPECT_THAT([&] { CompressFixed(llama, "{use: modegpt, qk_unit: 3}", {}); },
              ThrowsMessage<ConfigError>(HasSubstr("must be even")));
  EXPECT_THAT([&] { CompressFixed(llama, "{use: modegpt, units: hw}", {}); },
              ThrowsMessage<ConfigError>(HasSubstr("does not fit")));
}

TEST(ModeGpt, PairsScoredByNormAreTheSameBeforeAndAfterTheRotation) {  // T12
  TinyModel tiny(Wide(kGrouped));
  const auto kept = [&](const std::string& stat) {
    return CompressFixed(tiny, "{use: modegpt, qk_pair_score: norm, qk_stat: " + stat + "}",
                         {.qk = 0.5})
        .result.report.layers[1]
        .modules.at("qk")
        .kept;
  };
  EXPECT_EQ(kept("pre_rope"), kept("post_rope"));
}

// --- Refresh -------------------------------------------------------------------------------------

TEST(ModeGpt, RefreshChangesOnlyWhatLiesAboveACompressedModule) {
  TinyModel tiny(kGrouped);
  const auto none = CompressTo(tiny, "modegpt"),
             layer = CompressTo(tiny, "{use: modegpt, refresh: layer}"),
             module = CompressTo(tiny, "{use: modegpt, refresh: module}");
  const auto block = [](const Compressed& c, int64_t l) { return c.model->LoadBlock(l); };
  EXPECT_TRUE(SameTensors(block(none, 0), block(layer, 0)));
  EXPECT_FALSE(SameTensors(block(none, 1), block(layer, 1)));
  EXPECT_TRUE(SameLinear(block(none, 0).attention.o, block(module, 0).attention.o));
  EXPECT_FALSE(SameLinear(block(none, 0).mlp.down, block(module, 0).mlp.down));
}

TEST(ModeGpt, TrialsCompressAsTheMethodDoes) {
  for (const TinyModelOptions& options : {kGrouped, kOpt}) {
    TinyModel tiny(options);
    const auto method = Method("{use: modegpt_plus, refresh: none}");
    ASSERT_NE(method->trials(), nullptr);
    const ModuleTrials& trials = *method->trials();
    tiny.statistics.ForEachLayer(
        trials.TrialRequests(tiny.model->config()),
        [&](int64_t l, const BlockStatistics& statistics) {
          const Block dense = tiny.model->LoadBlock(l);
          for (const ModuleGroup& group : trials.ModuleGroups()) {
            ModuleSparsity removed;
            removed.of(group.modules.front()) = 0.5;
            const Compressed whole =
                CompressFixed(tiny, "{use: modegpt_plus, refresh: none}", removed);
            const auto blocks = CompressedAlone(trials,
                                                {.model = tiny.model->config(),
                                                 .dense = dense,
                                                 .statistics = statistics,
                                                 .layer = l},
                                                group, {0.25, 0.5});
            ASSERT_EQ(blocks.size(), 2u);
            EXPECT_TRUE(SameTensors(blocks[1], whole.model->LoadBlock(l))) << group.name;
          }
        });
  }
}

}  // namespace
}  // namespace condense
