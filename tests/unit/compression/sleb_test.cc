// SLEB (methods.md 5.2): T47, T48, and depth at even spacing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/loss.h"
#include "unit/compression/pruning_support.h"

namespace condense {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> SourcesOf(const Compressed& made) {
  std::vector<int64_t> sources;
  for (const LayerConfig& layer : made.result.config.layers) sources.push_back(layer.source);
  return sources;
}

// Mean loss on the calibration set of a model made of some blocks of another.
double LossOf(const TinyModel& tiny, const std::vector<int64_t>& blocks) {
  const InferenceScope inference;
  CausalLmBuilder builder("trial");
  builder.PutEmbedding(tiny.model->embedding());
  ModelConfig config = tiny.model->config();
  config.layers.clear();
  for (const int64_t l : blocks) {
    builder.PutBlock(config.num_layers(), tiny.model->LoadBlock(l));
    config.layers.push_back(tiny.model->config().layers[static_cast<size_t>(l)]);
  }
  builder.PutHead(tiny.model->head());
  builder.Finish(config);
  const auto model = builder.Take();
  double sum = 0;
  for (const auto& sequence : tiny.calibration.sequences) {
    const std::span<const int32_t> one[] = {sequence};
    const Tensor ids = StackIds(one, at::kCPU);
    sum += NextTokenNll(model->head(), model->Hidden(ids), ids).mean().item<double>();
  }
  return sum / static_cast<double>(tiny.calibration.sequences.size());
}

class SlebClaims : public testing::TestWithParam<TinyModelOptions> {};

TEST_P(SlebClaims, RemovesAtEachStepTheBlockThatIsMissedLeast) {  // T47
  for (const uint64_t seed : {1, 2, 3}) {
    TinyModelOptions options = GetParam();
    options.layers = 6;
    options.seed = seed;
    TinyModel tiny(options);
    std::vector<int64_t> alive{0, 1, 2, 3, 4, 5};
    for (int64_t removed = 1; removed <= 4; ++removed) {
      // Every model with one inner block less.
      size_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (size_t i = 1; i + 1 < alive.size(); ++i) {
        std::vector<int64_t> rest = alive;
        rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
        const double loss = LossOf(tiny, rest);
        if (loss < least) least = loss, best = i;
      }
      alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(best));
      EXPECT_EQ(SourcesOf(Pruned(tiny, "sleb", static_cast<double>(removed) / 6)), alive);
    }
  }
}

TEST_P(SlebClaims, TheCachedPrefixChangesNothing) {  // T48
  TinyModelOptions options = GetParam();
  options.layers = 6;
  for (const double ratio : {0.17, 0.5}) {
    TinyModel with(options), without(options);
    EXPECT_EQ(SourcesOf(Pruned(with, "sleb", ratio)),
              SourcesOf(Pruned(without, "{use: sleb, cache_prefix: false}", ratio)));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SlebClaims, testing::Values(kGrouped, kOpt),
                         [](const auto& info) { return FamilyName(info.param); });

TEST(Sleb, KeepsTheEndsWhateverIsAskedFor) {
  TinyModel tiny({.layers = 4});
  EXPECT_THAT(SourcesOf(Pruned(tiny, "sleb", 0.9)), ElementsAre(0, 3));
  TinyModel free({.layers = 4});
  EXPECT_EQ(SourcesOf(Pruned(free, "{use: sleb, barrier: 0}", 0.9)).size(), 1u);
}

TEST(Sleb, RunsAModelThatIsReadBlockByBlockAlike) {
  TinyModel tiny({.layers = 6, .sequences = 200});  // more than one batch
  const StreamedModel streamed(*tiny.model);
  StatisticsStore statistics(streamed, tiny.calibration, {});
  const auto method = Method("sleb");
  CausalLmBuilder builder("streamed");
  const auto result = Compress({.method = *method, .ratio = 0.5}, statistics, statistics, builder);
  EXPECT_EQ(result.config.layers, Pruned(tiny, "sleb", 0.5).result.config.layers);
}

TEST(EvenDepth, SparesTheFirstAndTheLastBlock) {
  TinyModel tiny({.layers = 6});
  EXPECT_THAT(SourcesOf(Pruned(tiny, "even_depth", 1.0 / 6)), ElementsAre(0, 1, 2, 4, 5));
  EXPECT_THAT(SourcesOf(Pruned(tiny, "even_depth", 2.0 / 6)), ElementsAre(0, 1, 3, 5));
  EXPECT_THAT(SourcesOf(Pruned(tiny, "even_depth", 0.95)), ElementsAre(0, 5));
}

}  // namespace
}  // namespace condense
