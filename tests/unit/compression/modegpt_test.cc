// MoDeGPT as a method: plans, schedules, biases, exactness where nothing is lost, reports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "compression/compress.h"
#include "compression/selectors/channel_selector.h"
#include "config/registry.h"
#include "model/check.h"
#include "support/tiny_model.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

struct Compressed {
  std::unique_ptr<CausalLm> model;
  CompressionResult result;
};

Component<Compressor> Method(const std::string& yaml) {
  return MakeComponent<Compressor>(Node::ParseText(yaml, "test.yaml"));
}

// Removes given fractions from each module of each layer.
class FixedAllocator final : public Allocator {
 public:
  explicit FixedAllocator(Allocation allocation) : allocation_(std::move(allocation)) {}
  Allocation Allocate(const AllocationRequest&) const override { return allocation_; }
  bool IsFixed() const override { return true; }

 private:
  Allocation allocation_;
};

Compressed CompressWith(StatisticsStore& statistics, const std::string& yaml, double ratio,
                        const Allocator& allocator) {
  const auto method = Method(yaml);
  CausalLmBuilder builder("compressed");
  Compressed compressed;
  compressed.result = Compress({.method = *method,
                                .allocator = &allocator,
                                .ratio = ratio,
                                .match = Match::kBlock,
                                .seed = 5},
                               statistics, statistics, builder);
  compressed.model = builder.Take();
  CheckShapes(*compressed.model);
  return compressed;
}

Compressed CompressTo(TinyModel& tiny, const std::string& yaml, double ratio = 0.3) {
  const auto uniform = MakeComponent<Allocator>("uniform");
  return CompressWith(tiny.statistics, yaml, ratio, *uniform);
}

Compressed CompressFixed(TinyModel& tiny, const std::string& yaml, const ModuleSparsity& removed) {
  const FixedAllocator allocator(Allocation(tiny.model->blocks().size(), removed));
  return CompressWith(tiny.statistics, yaml, 0.5, allocator);
}

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

// Largest difference of logits, relative to their size.
double LogitError(const CausalLm& a, const CausalLm& b) {
  const Tensor ids = TinyIds({});
  const Tensor expected = a.Logits(ids);
  return MaxDifference(expected, b.Logits(ids)) / expected.abs().max().item<double>();
}

const TinyModelOptions kLlama{.kv_heads = 4}, kGrouped{.kv_heads = 2}, kOpt{.opt = true};

TinyModelOptions Wide(TinyModelOptions options) {  // in float64, to see exactness
  options.dtype = kF64;
  return options;
}

// A copy of the model with its blocks changed.
std::unique_ptr<CausalLm> WithBlocks(const CausalLm& model,
                                     const std::function<void(Block&)>& change) {
  CausalLmBuilder builder("changed");
  builder.PutEmbedding(model.embedding());
  for (int64_t l = 0; l < model.config().num_layers(); ++l) {
    Block block = model.LoadBlock(l);
    change(block);
    builder.PutBlock(l, block);
  }
  builder.PutHead(model.head());
  builder.Finish(model.config());
  return builder.Take();
}

// --- Conformance
// ----------------------------------------------------------------------------------

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
                         [](const auto& info) {
                           return info.param.opt             ? "Opt"
                                  : info.param.kv_heads == 4 ? "Llama"
                                                             : "LlamaGrouped";
                         });

// --- Nothing is lost where there is nothing to lose
// -------------------------------------------------

// Values of rank 3 in heads of width 8.
std::unique_ptr<CausalLm> WithValuesOfLowRank(const CausalLm& model) {
  return WithBlocks(model, [](Block& block) {
    Tensor& weight = block.attention.v.weight;
    for (int64_t first = 0; first < weight.size(0); first += 8) {
      const Tensor rows = weight.narrow(0, first, 8);
      const auto [u, s, vt] = at::linalg_svd(rows, /*full_matrices=*/false);
      Tensor cut = s.clone();
      cut.narrow(0, 3, 5).zero_();
      weight = weight.clone();
      weight.narrow(0, first, 8).copy_(at::matmul(u * cut, vt));
    }
  });
}

TEST(ModeGpt, LosesNothingOfValuesOfLowRank) {  // T21, T24
  for (const TinyModelOptions& options : {Wide(kLlama), Wide(kGrouped), Wide(kOpt)}) {
    TinyModel tiny(options);
    const auto model = WithValuesOfLowRank(*tiny.model);
    StatisticsStore statistics(*model, tiny.calibration, {});
    const FixedAllocator half(Allocation(3, {.vo = 0.5}));
    for (const std::string setting :
         {"modegpt", "{use: modegpt, vo_center: true}", "{use: modegpt, vo_stat: attended}",
          "{use: modegpt, vo_refit: joint_heads, refit_mu: 1e-12}",
          "{use: modegpt, vo_balance: published}",
          "{use: modegpt, vo_center: true, vo_stat: attended, vo_refit: joint_heads, refit_mu: "
          "1e-12}",
          "{use: modegpt, head_budget: pooled}", "{use: modegpt, vo_group: single}"}) {
      SCOPED_TRACE(setting);
      const Compressed compressed = CompressWith(statistics, setting, 0.5, half);
      EXPECT_LT(LogitError(*model, *compressed.model), 1e-4);
      for (const LayerReport& layer : compressed.result.report.layers) {
        EXPECT_LT(*layer.modules.at("vo").relative_error, 1e-4);
      }
    }
  }
}

TEST(ModeGpt, LosesNothingOfKeysThatAreZeroOutsideSomePairs) {
  for (const TinyModelOptions& options : {Wide(kLlama), Wide(kGrouped)}) {
    TinyModel tiny(options);
    const auto model = WithBlocks(*tiny.model, [](Block& block) {
      block.attention.k.weight = block.attention.k.weight.clone();
      for (int64_t first = 0; first < block.attention.k.weight.size(0); first += 8) {
        // Pairs 1 and 2 of each head.
        for (const int64_t row : {1, 2, 5, 6}) block.attention.k.weight[first + row].zero_();
      }
    });
    StatisticsStore statistics(*model, tiny.calibration, {});
    const FixedAllocator half(Allocation(3, {.qk = 0.5}));
    for (const std::string setting :
         {"modegpt", "{use: modegpt, qk_gain: complex}", "{use: modegpt, qk_stat: pre_rope}",
          "{use: modegpt, head_budget: pooled}"}) {
      SCOPED_TRACE(setting);
      const Compressed compressed = CompressWith(statistics, setting, 0.5, half);
      EXPECT_LT(LogitError(*model, *compressed.model), 1e-6);
      const Tensor pairs = compressed.model->blocks()[0].attention.rope_pairs;
      EXPECT_TRUE(at::equal(pairs.slice(0, 0, 2), IndexTensor({0, 3})));
    }
  }
}

TEST(ModeGpt, LosesNothingOfOptQueriesOfLowRankBySvd) {
  TinyModel tiny(Wide(kOpt));
  const auto model = WithBlocks(*tiny.model, [](Block& block) {
    // Keys of rank 4, bias included: rows 4-7 of each head repeat rows 0-3, doubled.
    Linear& k = block.attention.k;
    k.weight = k.weight.clone(), k.bias = k.bias.clone();
    for (int64_t first = 0; first < k.weight.size(0); first += 8) {
      k.weight.narrow(0, first + 4, 4).copy_(2 * k.weight.narrow(0, first, 4));
      k.bias.narrow(0, first + 4, 4).copy_(2 * k.bias.narrow(0, first, 4));
    }
  });
  StatisticsStore statistics(*model, tiny.calibration, {});
  const FixedAllocator half(Allocation(3, {.qk = 0.5}));
  const auto error = [&](const std::string& setting) {
    return LogitError(*model, *CompressWith(statistics, setting, 0.5, half).model);
  };
  EXPECT_LT(error("{use: modegpt, qk_gain: svd}"), 1e-4);
  EXPECT_GT(error("modegpt"), 1e-3);
}

TEST(ModeGpt, LosesNothingOfRedundantChannels) {
  TinyModel tiny(Wide(kOpt));
  const auto model = WithBlocks(*tiny.model, [](Block& block) {
    Linear& up = block.mlp.up;
    up.weight = up.weight.clone(), up.bias = up.bias.clone();
    up.weight.narrow(0, 24, 24).copy_(3 * up.weight.narrow(0, 0, 24));
    up.bias.narrow(0, 24, 24).copy_(3 * up.bias.narrow(0, 0, 24));
  });
  StatisticsStore statistics(*model, tiny.calibration, {});
  const FixedAllocator half(Allocation(3, {.mlp = 0.5}));
  for (const std::string setting : {"{use: modegpt, mlp_selector: obc}",
                                    "{use: modegpt, mlp_selector: obc, refit_bias: intercept}"}) {
    const Compressed compressed = CompressWith(statistics, setting, 0.5, half);
    EXPECT_LT(LogitError(*model, *compressed.model), 1e-6) << setting;
  }
}

TEST(ModeGpt, ScoresEqualThoseOfZeroPaddedHeads) {  // T13
  TinyModel tiny(Wide(kGrouped));
  const Compressed compressed =
      CompressFixed(tiny, "{use: modegpt, head_budget: pooled}", {.qk = 0.5});
  CausalLmBuilder builder("padded");
  builder.PutEmbedding(tiny.model->embedding());
  for (int64_t l = 0; l < 3; ++l) {
    const Block narrow = compressed.model->LoadBlock(l);
    Block padded = tiny.model->LoadBlock(l);
    padded.attention.q.weight = at::zeros_like(padded.attention.q.weight);
    padded.attention.k.weight = at::zeros_like(padded.attention.k.weight);
    int64_t q_row = 0, k_row = 0, q_head = 0;
    for (size_t j = 0; j < narrow.attention.heads.size(); ++j) {
      const HeadConfig& head = narrow.attention.heads[j];
      const Tensor pairs = narrow.attention.rope_pairs.narrow(0, k_row / 2, head.qk_width / 2);
      const Tensor places = at::cat({pairs, pairs + 4});
      for (int64_t i = 0; i < head.queries; ++i, ++q_head, q_row += head.qk_width) {
        padded.attention.q.weight.index_copy_(
            0, places + 8 * q_head, narrow.attention.q.weight.narrow(0, q_row, head.qk_width));
      }
      padded.attention.k.weight.index_copy_(
          0, places + 8 * static_cast<int64_t>(j),
          narrow.attention.k.weight.narrow(0, k_row, head.qk_width));
      k_row += head.qk_width;
    }
    builder.PutBlock(l, padded);
  }
  builder.PutHead(tiny.model->head());
  builder.Finish(tiny.model->config());
  EXPECT_LT(LogitError(*builder.Take(), *compressed.model), 1e-12);
}

// --- Plans, widths, biases
// ------------------------------------------------------------------------

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

// --- Schedules and reports
// ------------------------------------------------------------------------

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
    tiny.statistics.ForEachLayer(
        method->trials()->TrialRequests(), [&](int64_t l, const BlockStatistics& statistics) {
          for (const Module module : kModules) {
            ModuleSparsity removed;
            removed.of(module) = 0.5;
            const Compressed whole =
                CompressFixed(tiny, "{use: modegpt_plus, refresh: none}", removed);
            const Block trial = method->trials()->CompressModule(
                tiny.model->config(), tiny.model->LoadBlock(l), statistics, l, module, 0.5);
            EXPECT_TRUE(SameTensors(trial, whole.model->LoadBlock(l))) << ModuleName(module);
          }
        });
  }
}

// Keeps the activations of one tap.
class Recorder final : public TapSink {
 public:
  explicit Recorder(Tap tap) : tap_(tap) {}
  bool Wants(Tap tap) const override { return tap == tap_; }
  void OnTap(Tap, const Tensor& activations) override { rows.push_back(activations.flatten(0, 1)); }
  Tensor All() const { return at::cat(rows).to(kF64); }
  std::vector<Tensor> rows;

 private:
  Tap tap_;
};

Tensor Record(const TinyModel& tiny, Tap tap) {  // of the first block, over the calibration set
  Recorder recorder(tap);
  const Tensor frequencies = FrequenciesOf(*tiny.model);
  const BlockContext context{.rope_frequencies = frequencies.defined() ? &frequencies : nullptr,
                             .taps = &recorder};
  for (const Tensor& ids : tiny.statistics.tokens().ids()) {
    tiny.model->blocks()[0].Forward(tiny.model->embedding().Forward(ids), context);
  }
  return recorder.All();
}

TEST(ModeGpt, ReportsTheErrorsThatAForwardPassMeasures) {
  for (const TinyModelOptions& options : {Wide(kGrouped), Wide(kOpt)}) {
    TinyModel tiny(options);
    const Compressed compressed = CompressTo(tiny, "{use: modegpt, vo_refit: joint_heads}");
    const Block& dense = tiny.model->blocks()[0];
    const Block& narrow = compressed.model->blocks()[0];
    const auto& modules = compressed.result.report.layers[0].modules;

    const Tensor h = Record(tiny, Tap::kMlpHidden);
    const Tensor full = at::matmul(h, dense.mlp.down.weight.t());
    const Tensor kept = Columns(h, modules.at("mlp").kept);
    EXPECT_NEAR(*modules.at("mlp").relative_error,
                std::sqrt(SquaredNorm(full - at::matmul(kept, narrow.mlp.down.weight.t())) /
                          SquaredNorm(full)),
                1e-6);

    // Attention without the loss of the queries and keys.
    Attention mixed = dense.attention;
    mixed.v = narrow.attention.v, mixed.o = narrow.attention.o;
    for (size_t j = 0; j < mixed.heads.size(); ++j) {
      mixed.heads[j].vo_width = narrow.attention.heads[j].vo_width;
    }
    const Tensor frequencies = FrequenciesOf(*tiny.model);
    const BlockContext context{.rope_frequencies = frequencies.defined() ? &frequencies : nullptr};
    double error = 0, norm = 0;
    for (const Tensor& ids : tiny.statistics.tokens().ids()) {
      const Tensor x = dense.norm1.Forward(tiny.model->embedding().Forward(ids));
      const Tensor expected = dense.attention.Forward(x, context);
      error += SquaredNorm(expected - mixed.Forward(x, context));
      const Tensor constant =
          options.opt ? narrow.attention.o.bias : at::zeros({1}, expected.options());
      norm += SquaredNorm(expected - constant);  // the moved bias is no part of the module's norm
    }
    EXPECT_NEAR(*modules.at("vo").relative_error, std::sqrt(error / norm), 1e-6);
    EXPECT_GT(*modules.at("qk").relative_error, 0);
    EXPECT_LT(*modules.at("qk").relative_error, 1);
  }
}

TEST(ModeGpt, QueryKeyErrorIsThatOfTheScores) {
  TinyModel tiny(Wide(kOpt));
  const Compressed compressed = CompressTo(tiny, "{use: modegpt, qk_gain: core}");
  const Tensor q = Record(tiny, Tap::kQuery), k = Record(tiny, Tap::kKey);
  const Tensor a = Record(tiny, Tap::kAttentionInput);
  const Attention& narrow = compressed.model->blocks()[0].attention;
  const Tensor q_narrow = narrow.q.Forward(a), k_narrow = narrow.k.Forward(a);
  double error = 0, norm = 0;
  int64_t first = 0;
  for (int64_t j = 0; j < 4; ++j) {
    const int64_t width = narrow.heads[static_cast<size_t>(j)].qk_width;
    const Tensor scores = at::matmul(q.narrow(1, 8 * j, 8), k.narrow(1, 8 * j, 8).t());
    error += SquaredNorm(scores - at::matmul(q_narrow.narrow(1, first, width),
                                             k_narrow.narrow(1, first, width).t()));
    norm += SquaredNorm(scores);
    first += width;
  }
  EXPECT_NEAR(*compressed.result.report.layers[0].modules.at("qk").relative_error,
              std::sqrt(error / norm), 1e-6);
}

}  // namespace
}  // namespace condense
