// Claims T25-T30 of methods.md 2 and the rounding rule of 0.5.
#include "compression/allocator.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "config/registry.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

double Mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

class Allocators : public testing::Test {
 protected:
  Allocation Allocate(const std::string& yaml, double target) {
    const auto allocator = MakeComponent<Allocator>(Node::ParseText(yaml, "test.yaml"));
    return allocator->Allocate({.dense = tiny_.model->config(),
                                .target = target,
                                .statistics = tiny_.statistics,
                                .trials = nullptr});
  }
  std::vector<double> MlpOf(const Allocation& allocation) {
    std::vector<double> removed;
    for (const ModuleSparsity& layer : allocation) removed.push_back(layer.mlp);
    return removed;
  }
  TinyModel tiny_{{.layers = 6}};
};

TEST_F(Allocators, MeetTheTargetExactly) {
  for (const std::string yaml :
       {"uniform", "block_influence", "{use: block_influence, epsilon: 0.05}",
        "{use: block_influence, module_weights: {mlp: 2, qk: 0.5, vo: 1}}"}) {
    for (const double target : {0.1, 0.3, 0.5}) {
      EXPECT_NEAR(MeanSparsity(tiny_.model->config(), Allocate(yaml, target)), target, 1e-12)
          << yaml;
    }
  }
}

TEST_F(Allocators, RespectTheCap) {
  for (const ModuleSparsity& layer :
       Allocate("{use: block_influence, epsilon: 1e-4, cap: 0.6}", 0.5)) {
    for (const Module module : kModules) EXPECT_LE(layer.of(module), 0.6 + 1e-12);
  }
}

TEST_F(Allocators, SolvedEpsilonHitsTheLargestFraction) {
  const auto removed =
      MlpOf(Allocate("{use: block_influence, epsilon: {max: 0.5}, cap: 0.8}", 0.3));
  EXPECT_NEAR(*std::max_element(removed.begin(), removed.end()), 0.5, 1e-6);
}

TEST_F(Allocators, ASmallerInfluenceNeverGetsLess) {
  const auto removed = MlpOf(Allocate("block_influence", 0.3));
  const auto& influence = tiny_.statistics.Influence();
  for (size_t a = 0; a < removed.size(); ++a) {
    for (size_t b = 0; b < removed.size(); ++b) {
      if (influence[a] < influence[b]) {
        EXPECT_GE(removed[a], removed[b] - 1e-12);
      }
    }
  }
}

TEST_F(Allocators, LargeEpsilonIsUniform) {
  for (const double fraction : MlpOf(Allocate("{use: block_influence, epsilon: 1e6}", 0.3))) {
    EXPECT_NEAR(fraction, 0.3, 1e-6);
  }
}

TEST_F(Allocators, RefuseATargetAboveTheCap) {
  EXPECT_THROW(Allocate("{use: block_influence, cap: 0.4, epsilon: 0.1}", 0.5), ConfigError);
}

TEST_F(Allocators, FromFileChecksItsMean) {
  const TempFolder folder;
  std::string csv = "layer,mlp,qk,vo\n";
  for (int l = 0; l < 6; ++l) csv += fmt::format("{},{},{},{}\n", l, 0.1 * l, 0.1 * l, 0.1 * l);
  const auto path = folder.path() / "allocation.csv";
  WriteFileAtomically(path, csv);
  const std::string yaml = fmt::format("{{use: from_file, path: {}}}", path.string());
  EXPECT_NEAR(Allocate(yaml, 0.25)[5].mlp, 0.5, 1e-12);
  EXPECT_THROW(Allocate(yaml, 0.3), ConfigError);
  const std::string scaled =
      fmt::format("{{use: from_file, renormalise: true, path: {}}}", path.string());
  EXPECT_NEAR(MeanSparsity(tiny_.model->config(), Allocate(scaled, 0.3)), 0.3, 1e-12);
  WriteFileAtomically(path, "layer,mlp,qk,vo\n0,0.1,x,0.1\n");
  EXPECT_THROW(Allocate(yaml, 0.25), DataError);
}

// KKT conditions of max sum s_l (1 - phi_l) + eps H under the mean and the cap: what is not capped
// has one common multiplier -s_l - eps (1 + ln phi_l), what is capped has a larger one.
TEST_F(Allocators, SoftmaxWithCapIsTheConstrainedOptimum) {
  const double epsilon = 0.02, cap = 0.55;
  const auto phi = MlpOf(
      Allocate(fmt::format("{{use: block_influence, epsilon: {}, cap: {}}}", epsilon, cap), 0.4));
  const auto& s = tiny_.statistics.Influence();
  std::optional<double> common;
  for (size_t l = 0; l < phi.size(); ++l) {
    if (phi[l] > cap - 1e-9) continue;
    const double multiplier = -s[l] - epsilon * (1 + std::log(phi[l]));
    if (!common) common = multiplier;
    EXPECT_NEAR(multiplier, *common, 1e-9);
  }
  ASSERT_TRUE(common.has_value());
  for (size_t l = 0; l < phi.size(); ++l) {
    if (phi[l] > cap - 1e-9) {
      EXPECT_GE(-s[l] - epsilon * (1 + std::log(cap)), *common - 1e-9);
    }
  }
}

TEST(CapAndRedistribute, KeepsMeanAndProportions) {
  const std::vector<double> capped = CapAndRedistribute({0.9, 0.2, 0.1, 0.4}, 0.6);
  EXPECT_NEAR(Mean(capped), 0.4, 1e-12);
  EXPECT_NEAR(capped[1] / capped[2], 2, 1e-12);
  EXPECT_DOUBLE_EQ(capped[0], 0.6);
}

TEST(RoundWidths, CarryKeepsTheTotalWithinOneUnit) {
  std::vector<double> removed;
  double exact = 0;
  for (int l = 0; l < 40; ++l) {
    removed.push_back(0.2 + 0.013 * (l % 7));
    exact += (1 - removed.back()) * 90;
  }
  for (const int64_t unit : {1, 2, 8}) {
    const auto kept = RoundWidths(removed, 90, unit, RoundingMode::kCarry);
    const auto total = std::accumulate(kept.begin(), kept.end(), int64_t{0});
    EXPECT_LE(std::abs(static_cast<double>(total) - exact), static_cast<double>(unit));
    for (const int64_t width : kept) EXPECT_TRUE(width % unit == 0 || width == 90);
  }
}

TEST(RoundWidths, KeepsAtLeastOneUnitAndAtMostTheWidth) {
  EXPECT_EQ(RoundWidths({0.999, 0.0}, 32, 2, RoundingMode::kFloor), (std::vector<int64_t>{2, 32}));
}

TEST(RoundPooledWidths, MissTheFractionByOneUnitOfAHeadAtMost) {
  for (double removed = 0; removed < 0.85; removed += 0.013) {
    const int64_t kept = RoundPooledWidths({removed}, 6, 32, 2, RoundingMode::kNearest).front();
    EXPECT_EQ(kept % 2, 0);
    EXPECT_LE(std::abs(static_cast<double>(kept) - (1 - removed) * 6 * 32), 1 + 1e-9) << removed;
  }
  EXPECT_EQ(RoundPooledWidths({0.999, 0.0}, 6, 32, 2, RoundingMode::kFloor),
            (std::vector<int64_t>{12, 192}));
}

TEST(NarrowedConfig, PooledHeadsDifferByAUnitAtMost) {
  TinyModel tiny({.kv_heads = 4});  // heads of 8 columns
  const Allocation allocation(3, {.qk = 0.3, .vo = 0.3});
  const ModelConfig pooled = NarrowedConfig(tiny.model->config(), allocation,
                                            {.mode = RoundingMode::kNearest, .pooled_heads = true});
  const ModelConfig equal =
      NarrowedConfig(tiny.model->config(), allocation, {.mode = RoundingMode::kNearest});
  for (size_t l = 0; l < 3; ++l) {
    // 0.7 x 4 x 8 = 22.4 columns: 11 pairs, or 22 channels.
    EXPECT_EQ(pooled.layers[l].KeyWidth(), 22);
    EXPECT_EQ(pooled.layers[l].ValueWidth(), 22);
    EXPECT_TRUE(pooled.layers[l].selected_pairs);
    EXPECT_EQ(equal.layers[l].KeyWidth(), 24);
    for (const HeadConfig& head : pooled.layers[l].heads) {
      EXPECT_TRUE(head.qk_width == 4 || head.qk_width == 6) << head.qk_width;
      EXPECT_TRUE(head.vo_width == 5 || head.vo_width == 6) << head.vo_width;
    }
  }
}

}  // namespace
}  // namespace condense
