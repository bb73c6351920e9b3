// MoDeGPT loses nothing where there is nothing to lose, and reports the errors that a forward pass
// measures.
#include <gtest/gtest.h>

#include <cmath>

#include "unit/compression/compressed_models.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

// Largest difference of logits, relative to their size.
double LogitError(const CausalLm& a, const CausalLm& b) {
  const Tensor ids = TinyIds({});
  const Tensor expected = a.Logits(ids);
  return MaxDifference(expected, b.Logits(ids)) / expected.abs().max().item<double>();
}

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

// --- Reports -------------------------------------------------------------------------------------

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
  const BlockContext context{.taps = &recorder};
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
    double error = 0, norm = 0;
    for (const Tensor& ids : tiny.statistics.tokens().ids()) {
      const Tensor x = dense.norm1.Forward(tiny.model->embedding().Forward(ids));
      const Tensor expected = dense.attention.Forward(x);
      error += SquaredNorm(expected - mixed.Forward(x));
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
