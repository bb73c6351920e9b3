// FLAP (methods.md 5.6): T71-T73, and an independent evaluation of the whole method.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "compression/bases/units.h"
#include "unit/compression/pruning_support.h"

namespace condense {
namespace {

class FlapClaims : public testing::TestWithParam<TinyModelOptions> {
 protected:
  FlapClaims() : tiny_(Wide(GetParam())) {}
  int64_t rows_of_a_group() const {
    const ModelConfig& dense = tiny_.model->config();
    return dense.head_dim * (dense.num_heads / dense.num_kv_heads);
  }
  TinyModel tiny_;
  InferenceScope inference_;
};

// Everything once more, from activations, in plain loops: variances, standardised scores, one list,
// and how many units of each module fall off its end.
TEST_P(FlapClaims, AgreeWithAnIndependentEvaluation) {
  const ModelConfig& dense = tiny_.model->config();
  struct Unit {
    double score;
    size_t layer;
    bool head;
    int64_t index;
  };
  std::vector<Unit> list;
  const auto add = [&](size_t l, bool head, const Tensor& x, const Tensor& w, int64_t size) {
    const int64_t channels = x.size(1), tokens = x.size(0);
    const auto value = x.accessor<double, 2>();
    const auto weight = w.accessor<double, 2>();  // stored [out, in]
    std::vector<double> s;
    for (int64_t j = 0; j < channels; ++j) {
      double mean = 0, variance = 0, norm = 0;
      for (int64_t n = 0; n < tokens; ++n) mean += value[n][j] / tokens;
      for (int64_t n = 0; n < tokens; ++n) variance += std::pow(value[n][j] - mean, 2) / tokens;
      for (int64_t o = 0; o < w.size(0); ++o) norm += weight[o][j] * weight[o][j];
      s.push_back(head ? std::pow(variance * norm, 2) : variance * norm);
    }
    double mean = 0, variance = 0;
    for (const double v : s) mean += v / channels;
    for (const double v : s) variance += (v - mean) * (v - mean) / (channels - 1);
    for (int64_t u = 0; u < channels / size; ++u) {
      double score = 0;
      for (int64_t i = 0; i < size; ++i) {
        score += (s[static_cast<size_t>(u * size + i)] - mean) / std::sqrt(variance) / size;
      }
      list.push_back({score, l, head, u});
    }
  };
  for (size_t l = 0; l < 3; ++l) {
    const Block& block = tiny_.model->blocks()[l];
    add(l, true, ActivationsAt(*tiny_.model, tiny_.calibration, l, Tap::kValueMix),
        block.attention.o.weight, rows_of_a_group());
    add(l, false, ActivationsAt(*tiny_.model, tiny_.calibration, l, Tap::kMlpHidden),
        block.mlp.down.weight, 1);
  }
  std::sort(list.begin(), list.end(),
            [](const Unit& a, const Unit& b) { return a.score < b.score; });
  const double head_cost = static_cast<double>(UnitCost(UnitKind::kGroups, dense));
  const double channel_cost = static_cast<double>(UnitCost(UnitKind::kMlp, dense));
  const double budget = 0.25 * static_cast<double>(CountParameters(dense).block);
  std::vector<std::set<int64_t>> heads(3), channels(3);
  for (size_t l = 0; l < 3; ++l) {
    for (int64_t j = 0; j < dense.num_kv_heads; ++j) heads[l].insert(j);
    for (int64_t j = 0; j < dense.intermediate_size; ++j) channels[l].insert(j);
  }
  double removed = 0;
  for (const Unit& unit : list) {
    if (removed >= budget) break;
    auto& kept = (unit.head ? heads : channels)[unit.layer];
    if (kept.size() == 1) continue;
    kept.erase(unit.index);
    removed += unit.head ? head_cost : channel_cost;
  }
  const Compressed made = Pruned(tiny_, "{use: flap, rounding: floor}", 0.25, Match::kNominal);
  for (size_t l = 0; l < 3; ++l) {
    EXPECT_EQ(KeptOf(made, l, "attention"), Indices(heads[l].begin(), heads[l].end())) << l;
    EXPECT_EQ(KeptOf(made, l, "mlp"), Indices(channels[l].begin(), channels[l].end())) << l;
    // The bias takes up the mean of what is gone; what stays is not touched.
    const Tensor h = ActivationsAt(*tiny_.model, tiny_.calibration, l, Tap::kMlpHidden);
    const Linear &before = tiny_.model->blocks()[l].mlp.down,
                 &after = made.model->blocks()[l].mlp.down;
    if (static_cast<int64_t>(channels[l].size()) == dense.intermediate_size) {
      EXPECT_EQ(after.bias.defined(), before.bias.defined());
      continue;
    }
    Tensor bias = before.bias.defined() ? before.bias.clone() : at::zeros({before.out()}, kF64);
    for (int64_t j = 0; j < dense.intermediate_size; ++j) {
      if (channels[l].count(j) == 0) bias += h.select(1, j).mean() * before.weight.select(1, j);
    }
    EXPECT_LT((after.bias - bias).abs().max().item<double>(), 1e-10);
  }
}

TEST_P(FlapClaims, ErrorIsTheCovarianceOfWhatIsGone) {  // T71
  const Compressed made = Pruned(tiny_, "flap", 0.3);
  for (size_t l = 0; l < 3; ++l) {
    for (const bool mlp : {false, true}) {
      const Tensor x =
          ActivationsAt(*tiny_.model, tiny_.calibration, l, mlp ? Tap::kMlpHidden : Tap::kValueMix);
      const Block &before = tiny_.model->blocks()[l], &after = made.model->blocks()[l];
      const Linear& dense = mlp ? before.mlp.down : before.attention.o;
      const Linear& cut = mlp ? after.mlp.down : after.attention.o;
      const int64_t size = mlp ? 1 : rows_of_a_group();
      Indices kept;
      for (const int64_t unit : KeptOf(made, l, mlp ? "mlp" : "attention")) {
        for (int64_t i = 0; i < size; ++i) kept.push_back(unit * size + i);
      }
      const Tensor j = IndexTensor(kept), d = IndexTensor(Complement(kept, x.size(1)));
      if (d.numel() == 0) continue;
      const double error = (dense.Forward(x) - cut.Forward(x.index_select(1, j)))
                               .square()
                               .sum(1)
                               .mean()
                               .item<double>();
      const Tensor centred = x.index_select(1, d) - x.index_select(1, d).mean(0);
      const Tensor covariance = at::matmul(centred.t(), centred) / x.size(0);
      const Tensor w = dense.weight.t().index_select(0, d);
      const double predicted = (w * at::matmul(covariance, w)).sum().item<double>();
      EXPECT_NEAR(error, predicted, 1e-9 * std::abs(predicted));
    }
  }
}

TEST_P(FlapClaims, AConstantChannelIsRemovedWithoutError) {  // T72
  // Up and gate read nothing but their biases: the channel is constant.
  CausalLmBuilder builder("constant channel");
  ModelConfig config = tiny_.model->config();
  for (LayerConfig& layer : config.layers) {
    layer.linears[Role::kUp].bias = true;
    layer.linears[Role::kGate].bias = config.gated_mlp;
  }
  builder.PutEmbedding(tiny_.model->embedding());
  for (int64_t l = 0; l < 3; ++l) {
    Block block = tiny_.model->LoadBlock(l);
    for (Linear* linear : {&block.mlp.up, &block.mlp.gate}) {
      if (!linear->weight.defined()) continue;
      linear->weight = linear->weight.clone();
      linear->weight[7].zero_();
      linear->bias =
          linear->bias.defined() ? linear->bias.clone() : at::zeros({linear->out()}, kF64);
      linear->bias[7] = 2.5;
    }
    builder.PutBlock(l, block);
  }
  builder.PutHead(tiny_.model->head());
  builder.Finish(config);
  const auto model = builder.Take();
  StatisticsStore statistics(*model, tiny_.calibration, {});
  // One channel of each layer.
  const FixedAllocator one(Allocation(3, {.mlp = 1.0 / 48, .qk = 0, .vo = 0}));
  const auto method = Method("{use: flap, allocation: allocator}");
  CausalLmBuilder sink;
  const auto result =
      Compress({.method = *method, .allocator = &one, .ratio = 0.02}, statistics, statistics, sink);
  for (const LayerConfig& layer : result.config.layers) EXPECT_EQ(layer.mlp_width, 47);
  const Tensor ids = TinyIds({});
  EXPECT_LT((sink.Take()->Logits(ids) - model->Logits(ids)).abs().max().item<double>(), 1e-9);
}

TEST_P(FlapClaims, MeetsTheBudgetToWithinOneUnit) {  // T73
  const ModelConfig& dense = tiny_.model->config();
  const auto block = static_cast<double>(CountParameters(dense).block);
  const auto unit = static_cast<double>(UnitCost(UnitKind::kGroups, dense));
  for (const double ratio : {0.05, 0.2, 0.4, 0.6}) {
    const Compressed made = Pruned(tiny_, "flap", ratio, Match::kNominal);
    EXPECT_GE(made.result.ratios.block, ratio - 1e-12);
    EXPECT_LT((made.result.ratios.block - ratio) * block, unit);
    // Channels that come back make it exact to one of them.
    if (ratio > 0.1) {
      EXPECT_LE((made.result.ratios.block - ratio) * block,
                static_cast<double>(UnitCost(UnitKind::kMlp, dense)));
    }
    // Biases exist where units are gone, and are counted.
    for (const LayerConfig& layer : made.result.config.layers) {
      EXPECT_TRUE(layer.mlp_width == dense.intermediate_size || layer.linears[Role::kDown].bias);
      EXPECT_TRUE(static_cast<int64_t>(layer.heads.size()) == dense.num_kv_heads ||
                  layer.linears[Role::kOutput].bias);
    }
  }
}

TEST_P(FlapClaims, KeepsOneUnitOfEveryModule) {
  const Compressed made = Pruned(tiny_, "flap", 0.9, Match::kNominal);
  for (const LayerConfig& layer : made.result.config.layers) {
    EXPECT_GE(layer.mlp_width, 1);
    EXPECT_GE(layer.heads.size(), 1u);
  }
}

TEST_P(FlapClaims, WithLeastSquaresKeepsTheSameUnitsAndLosesLess) {
  const Compressed plain = Pruned(tiny_, "flap", 0.3), fitted = Pruned(tiny_, "flap_ls", 0.3);
  for (size_t l = 0; l < 3; ++l) {
    for (const char* module : {"attention", "mlp"}) {
      EXPECT_EQ(KeptOf(plain, l, module), KeptOf(fitted, l, module));
    }
  }
  const auto loss = [&](const CausalLm& model) {
    double error = 0;
    for (const auto& sequence : tiny_.calibration.sequences) {
      const std::span<const int32_t> one[] = {sequence};
      const Tensor ids = StackIds(one, at::kCPU);
      error += (model.Logits(ids) - tiny_.model->Logits(ids)).square().mean().item<double>();
    }
    return error;
  };
  EXPECT_LT(loss(*fitted.model), loss(*plain.model));
}

INSTANTIATE_TEST_SUITE_P(Families, FlapClaims, testing::Values(kLlama, kGrouped, kOpt),
                         [](const auto& info) { return FamilyName(info.param); });

}  // namespace
}  // namespace condense
