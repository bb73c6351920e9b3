// Claims T45 and T46 of methods.md 5.1, and the frame that all methods share.
#include <gtest/gtest.h>

#include "base/error.h"
#include "compression/compress.h"
#include "config/registry.h"
#include "support/tiny_model.h"
#include "unit/compression/pruning_support.h"

namespace condense {
namespace {

Compressed CompressTiny(TinyModel& tiny, const std::string& yaml, double ratio,
                        Match match = Match::kBlock) {
  const auto method = MakeComponent<Compressor>(Node::ParseText(yaml, "test.yaml"));
  CausalLmBuilder sink;
  Compressed made;
  made.result = Compress({.method = *method, .ratio = ratio, .match = match}, tiny.statistics,
                         tiny.statistics, sink);
  made.model = sink.Take();
  return made;
}

TEST(ShortGpt, RemovesTheBlocksOfLeastInfluence) {
  TinyModel tiny({.layers = 6});
  const Compressed made = CompressTiny(tiny, "shortgpt", 0.34);
  ASSERT_EQ(made.result.config.num_layers(), 4);
  const auto& influence = tiny.statistics.Influence();
  double largest_removed = -1, smallest_kept = 2;
  for (int64_t l = 0; l < 6; ++l) {
    const auto& layers = made.result.config.layers;
    const bool kept =
        std::any_of(layers.begin(), layers.end(), [&](const auto& k) { return k.source == l; });
    if (kept)
      smallest_kept = std::min(smallest_kept, influence[static_cast<size_t>(l)]);
    else
      largest_removed = std::max(largest_removed, influence[static_cast<size_t>(l)]);
  }
  EXPECT_LE(largest_removed, smallest_kept);
}

TEST(ShortGpt, ABlockThatAddsNothingGoesFirst) {
  TinyModel tiny({.layers = 4});
  CausalLmBuilder builder("with an idle block");
  builder.PutEmbedding(tiny.model->embedding());
  for (int64_t l = 0; l < 4; ++l) {
    Block block = tiny.model->LoadBlock(l);
    if (l == 2) {
      block.attention.o.weight = at::zeros_like(block.attention.o.weight);
      block.mlp.down.weight = at::zeros_like(block.mlp.down.weight);
    }
    builder.PutBlock(l, block);
  }
  builder.PutHead(tiny.model->head());
  builder.Finish(tiny.model->config());
  const auto model = builder.Take();
  StatisticsStore statistics(*model, tiny.calibration, {});
  EXPECT_NEAR(statistics.Influence()[2], 0, 1e-12);
  const auto method = MakeComponent<Compressor>("shortgpt");
  CausalLmBuilder sink;
  const auto result = Compress({.method = *method, .ratio = 0.25}, statistics, statistics, sink);
  const Tensor ids = TinyIds({});
  const InferenceScope inference;
  // Removing it changes nothing at all.
  EXPECT_TRUE(at::equal(sink.Take()->Logits(ids), model->Logits(ids)));
  EXPECT_NEAR(result.ratios.block, 0.25, 1e-12);
}

// Both rankings from activations, in plain loops.
TEST(ShortGpt, RanksBlocksAsAnIndependentEvaluationDoes) {
  TinyModel tiny({.layers = 6});
  std::vector<double> influence, angle;
  for (size_t l = 0; l < 6; ++l) {
    const Tensor in = ActivationsAt(*tiny.model, tiny.calibration, l, Tap::kBlockInput);
    const Tensor out = ActivationsAt(*tiny.model, tiny.calibration, l, Tap::kBlockOutput);
    double cosines = 0, angles = 0;
    for (int64_t n = 0; n < in.size(0); ++n) {
      const double cosine =
          (in[n] * out[n]).sum().item<double>() /
          std::sqrt(in[n].square().sum().item<double>() * out[n].square().sum().item<double>());
      cosines += cosine;
      if (n % 32 == 31) angles += std::acos(cosine) / M_PI;  // the last token of a sequence
    }
    influence.push_back(1 - cosines / static_cast<double>(in.size(0)));
    angle.push_back(angles / 16);
  }
  for (size_t l = 0; l < 6; ++l) {
    EXPECT_NEAR(tiny.statistics.Influence()[l], influence[l], 1e-12);
  }
  tiny.statistics.ForEachLayer({BlockAngle()}, [&](int64_t l, const BlockStatistics& statistics) {
    EXPECT_NEAR(statistics.Get(BlockAngle()).item<double>(), angle[static_cast<size_t>(l)], 1e-12);
  });
  for (const bool angular : {false, true}) {
    const std::vector<double>& change = angular ? angle : influence;
    for (size_t removed = 1; removed < 6; ++removed) {
      std::vector<int64_t> kept{0, 1, 2, 3, 4, 5};
      for (size_t i = 0; i < removed; ++i) {
        kept.erase(std::min_element(kept.begin(), kept.end(), [&](int64_t a, int64_t b) {
          return change[static_cast<size_t>(a)] < change[static_cast<size_t>(b)];
        }));
      }
      std::vector<int64_t> made;
      const Compressed compressed =
          CompressTiny(tiny, angular ? "{use: shortgpt, metric: angular}" : "shortgpt",
                       static_cast<double>(removed) / 6);
      for (const LayerConfig& layer : compressed.result.config.layers) made.push_back(layer.source);
      EXPECT_EQ(made, kept) << angular << " " << removed;
    }
  }
}

TEST(ShortGpt, TakesTheNearestNumberOfBlocks) {
  TinyModel tiny({.layers = 6});
  EXPECT_EQ(CompressTiny(tiny, "shortgpt", 0.10).result.config.num_layers(), 5);
  EXPECT_EQ(CompressTiny(tiny, "shortgpt", 0.07).result.config.num_layers(), 6);
  EXPECT_EQ(CompressTiny(tiny, "shortgpt", 0.3).result.config.num_layers(), 4);
  EXPECT_EQ(CompressTiny(tiny, "shortgpt", 0.95).result.config.num_layers(), 1);
}

TEST(Compress, AtRatioZeroCopiesEveryBit) {
  TinyModel tiny;
  const Tensor ids = TinyIds({});
  const InferenceScope inference;
  for (const std::string method : {"dense", "slicegpt", "shortgpt"}) {
    EXPECT_TRUE(
        at::equal(CompressTiny(tiny, method, 0).model->Logits(ids), tiny.model->Logits(ids)))
        << method;
  }
}

TEST(Compress, RefusesARatioOutsideItsRange) {
  TinyModel tiny;
  EXPECT_THROW(CompressTiny(tiny, "slicegpt", 1), ConfigError);
  EXPECT_THROW(CompressTiny(tiny, "slicegpt", -0.1), ConfigError);
  EXPECT_THROW(CompressTiny(tiny, "shortgpt", std::nan("")), ConfigError);
}

TEST(Registry, KnowsTheMethodsAndAllocators) {
  for (const char* name : {"dense", "slicegpt", "slicegpt_code", "shortgpt"}) {
    EXPECT_NE(Registry<Compressor>::Instance().Find(name), nullptr) << name;
  }
  for (const char* name : {"uniform", "block_influence", "from_file"}) {
    EXPECT_NE(Registry<Allocator>::Instance().Find(name), nullptr) << name;
  }
}

}  // namespace
}  // namespace condense
