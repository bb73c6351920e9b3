#include "calibration/statistics.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace condense {
namespace {

double RelativeDifference(const Tensor& a, const Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

Tensor Rows(int64_t n, int64_t p) {
  at::manual_seed(7);
  return at::randn({n, p}, kF64);
}

TEST(GramAccumulator, EqualsTheExplicitProductAcrossPanels) {
  const Tensor x = Rows(50, 1100);  // wider than two panels
  const auto gram = MakeAccumulator(StatKind::kGram, {});
  gram->Add(x);
  const Tensor finished = gram->Finish(50);
  EXPECT_LT(RelativeDifference(finished, at::matmul(x.t(), x)), 1e-14);
  EXPECT_TRUE(at::equal(finished, finished.t()));
}

TEST(GramAccumulator, MergeEqualsOnePass) {
  const Tensor x = Rows(300, 40);
  const auto one = MakeAccumulator(StatKind::kGram, {});
  const auto left = MakeAccumulator(StatKind::kGram, {}),
             right = MakeAccumulator(StatKind::kGram, {});
  one->Add(x);
  left->Add(x.narrow(0, 0, 170));
  right->Add(x.narrow(0, 170, 130));
  left->Merge(*right);
  EXPECT_LT(RelativeDifference(left->Finish(300), one->Finish(300)), 1e-12);
}

TEST(Accumulators, DoNotDependOnBatchSizeOrThreads) {
  const Tensor x = Rows(512, 48);
  for (const StatKind kind : {StatKind::kGram, StatKind::kHeadGram, StatKind::kMean,
                              StatKind::kSecondMoment, StatKind::kMeanAbs}) {
    const std::vector<int64_t> widths(4, 12);
    const auto whole = MakeAccumulator(kind, widths), parts = MakeAccumulator(kind, widths);
    whole->Add(x);
    const int threads = TorchThreads();
    ConfigureTorch(1);
    for (const Tensor& part : x.split(37)) parts->Add(part);
    ConfigureTorch(threads);
    EXPECT_LT(RelativeDifference(parts->Finish(512), whole->Finish(512)), 1e-12);
  }
}

TEST(HeadGram, IsTheDiagonalBlocksOfTheGram) {
  const Tensor x = Rows(60, 24);
  const auto gram = MakeAccumulator(StatKind::kGram, {}),
             heads = MakeAccumulator(StatKind::kHeadGram, {8, 8, 8});
  gram->Add(x);
  heads->Add(x);
  const Tensor whole = gram->Finish(60), blocks = heads->Finish(60);
  for (int64_t j = 0; j < 3; ++j) {
    EXPECT_LT(RelativeDifference(blocks[j], whole.narrow(0, 8 * j, 8).narrow(1, 8 * j, 8)), 1e-14);
  }
}

LayerConfig SomeLayer() {
  LayerConfig layer;
  layer.heads.assign(2, {.queries = 1, .qk_width = 4, .vo_width = 4});
  return layer;
}

TEST(BlockInfluence, IsZeroForABlockThatOnlyScales) {
  StatisticsCollector collector({BlockInfluence()}, SomeLayer());
  const Tensor x = Rows(30, 8).view({3, 10, 8});
  collector.OnTap(Tap::kBlockInput, x);
  collector.OnTap(Tap::kBlockOutput, 3 * x);
  EXPECT_NEAR(collector.Finish("layer 0").Get(BlockInfluence()).item<double>(), 0, 1e-12);
}

TEST(BlockInfluence, SkipsAndCountsTokensOfZeroNorm) {
  StatisticsCollector collector({BlockInfluence()}, SomeLayer());
  Tensor x = Rows(10, 8).view({1, 10, 8});
  x[0][3].zero_();
  collector.OnTap(Tap::kBlockInput, x);
  collector.OnTap(Tap::kBlockOutput, -x);
  const BlockStatistics statistics = collector.Finish("layer 0");
  EXPECT_NEAR(statistics.Get(BlockInfluence()).item<double>(), 2, 1e-12);
  EXPECT_EQ(statistics.skipped, 1);
}

TEST(StatisticsCollector, NamesTheLayerOfAValueThatIsNotFinite) {
  StatisticsCollector collector({Gram(Tap::kMlpHidden)}, SomeLayer());
  Tensor x = Rows(10, 8).view({1, 10, 8});
  x[0][0][0] = std::numeric_limits<double>::quiet_NaN();
  collector.OnTap(Tap::kMlpHidden, x);
  try {
    collector.Finish("layer 3");
    FAIL();
  } catch (const NumericError& error) {
    EXPECT_NE(std::string(error.what()).find("layer 3"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("mlp_hidden.gram"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace condense
