// The allocator `owl` (methods.md 2) and the module weights that allocators share.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "compression/allocator.h"
#include "compression/allocators/module_weights.h"
#include "config/registry.h"
#include "support/tiny_model.h"
#include "unit/compression/recorded_inputs.h"

namespace condense {
namespace {

Allocation Allocate(TinyModel& tiny, const std::string& yaml, double target) {
  const auto allocator = MakeComponent<Allocator>(Node::ParseText(yaml, "test.yaml"));
  return allocator->Allocate(
      {.dense = tiny.model->config(), .target = target, .statistics = tiny.statistics});
}

std::vector<double> Removed(TinyModel& tiny, const std::string& yaml, double target) {
  std::vector<double> removed;
  for (const ModuleSparsity& layer : Allocate(tiny, yaml, target)) {
    EXPECT_NEAR(layer.mlp, layer.qk, 1e-12);
    EXPECT_NEAR(layer.mlp, layer.vo, 1e-12);
    removed.push_back(layer.mlp);
  }
  return removed;
}

// D_l, weight by weight.
double OutlierShare(const TinyModel& tiny, int64_t layer, double multiple) {
  const Recorder recorder = RecordInputs(tiny, *tiny.model, layer);
  std::vector<double> scores;
  for (const Role role : LinearRoles(tiny.model->config())) {
    const Tensor rms = recorder.InputsOf(role).square().mean(0).sqrt().contiguous();
    const Tensor w = tiny.model->LoadBlock(layer).LinearOf(role).weight.to(kF64).contiguous();
    const double* weights = w.const_data_ptr<double>();
    const double* inputs = rms.const_data_ptr<double>();
    for (int64_t i = 0; i < w.numel(); ++i) {
      scores.push_back(std::abs(weights[i]) * inputs[i % w.size(1)]);
    }
  }
  const auto count = static_cast<double>(scores.size());
  const double mean = std::accumulate(scores.begin(), scores.end(), 0.0) / count;
  const auto exceeds = [&](double score) { return score > multiple * mean; };
  return static_cast<double>(std::count_if(scores.begin(), scores.end(), exceeds)) / count;
}

class Owl : public testing::TestWithParam<bool> {
 protected:
  TinyModel tiny_{{.opt = GetParam(), .layers = 6}};
  InferenceScope inference_;
};

TEST_P(Owl, FollowsTheOutlierDistribution) {
  const double target = 0.3, lambda = 0.08;
  std::vector<double> outliers, expected;
  for (int64_t l = 0; l < 6; ++l) outliers.push_back(OutlierShare(tiny_, l, 3));
  const auto [low, high] = std::minmax_element(outliers.begin(), outliers.end());
  ASSERT_LT(*low, *high);
  double mean = 0;
  for (const double share : outliers) {
    expected.push_back(2 * lambda * (share - *low) / (*high - *low));
    mean += expected.back() / 6;
  }
  const auto removed = Removed(tiny_, "{use: owl, m: 3}", target);
  for (size_t l = 0; l < 6; ++l) EXPECT_NEAR(removed[l], target - expected[l] + mean, 1e-12);
  const auto [least, most] = std::minmax_element(removed.begin(), removed.end());
  EXPECT_NEAR(*most - *least, 2 * lambda, 1e-12);
}

TEST_P(Owl, MeetsTheBudgetWithinItsBounds) {
  for (const std::string yaml :
       {"owl", "{use: owl, m: 3}", "{use: owl, m: 2, lambda: 0.5}",
        "{use: owl, m: 2, cap: 0.7, module_weights: {mlp: 2, qk: 0.5, vo: 1}}"}) {
    for (const double target : {0.01, 0.1, 0.3, 0.5, 0.69}) {
      SCOPED_TRACE(fmt::format("{} {}", yaml, target));
      const Allocation allocation = Allocate(tiny_, yaml, target);
      EXPECT_NEAR(MeanSparsity(tiny_.model->config(), allocation), target, 1e-12);
      for (const ModuleSparsity& layer : allocation) {
        for (const Module module : kModules) {
          EXPECT_GE(layer.of(module), 0);
          EXPECT_LE(layer.of(module), 0.8 + 1e-12);
        }
      }
    }
  }
  EXPECT_THROW(Allocate(tiny_, "{use: owl, cap: 0.4}", 0.5), ConfigError);
}

TEST_P(Owl, IsUniformWhereLayersDoNotDiffer) {
  for (const std::string yaml : {"{use: owl, lambda: 0}", "{use: owl, m: 1e6}"}) {
    for (const double fraction : Removed(tiny_, yaml, 0.3)) EXPECT_NEAR(fraction, 0.3, 1e-12);
  }
}

TEST_P(Owl, LooksAtTheModelOnce) {
  const auto allocator = MakeComponent<Allocator>("owl");
  const AllocationRequest request{
      .dense = tiny_.model->config(), .target = 0.3, .statistics = tiny_.statistics};
  allocator->Allocate(request);
  const double seconds = tiny_.statistics.seconds();
  EXPECT_GT(seconds, 0);
  allocator->Allocate(request);
  EXPECT_EQ(tiny_.statistics.seconds(), seconds);
}

INSTANTIATE_TEST_SUITE_P(Models, Owl, testing::Bool(),
                         [](const auto& info) { return info.param ? "Opt" : "Llama"; });

// --- Module weights ------------------------------------------------------------------------------

TEST(ModuleWeights, EveryAllocatorKnowsThem) {
  TinyModel tiny({.layers = 6});
  for (const std::string name : {"uniform", "block_influence", "owl"}) {
    SCOPED_TRACE(name);
    const std::string weighted =
        "{use: " + name + ", module_weights: {mlp: 2, qk: 0.5, vo: 1}, cap: 0.9}";
    const Allocation allocation = Allocate(tiny, weighted, 0.3);
    EXPECT_NEAR(MeanSparsity(tiny.model->config(), allocation), 0.3, 1e-12);
    for (const ModuleSparsity& layer : allocation) {
      EXPECT_LE(layer.mlp, 0.9 + 1e-12);
      if (layer.vo < 0.9 - 1e-9) {
        EXPECT_NEAR(layer.vo, 2 * layer.qk, 1e-12);
      }
      if (layer.mlp < 0.9 - 1e-9) {
        EXPECT_NEAR(layer.mlp, 4 * layer.qk, 1e-12);
      }
    }
    const Allocation mlp_only =
        Allocate(tiny, "{use: " + name + ", module_weights: {qk: 0, vo: 0}}", 0.05);
    for (const ModuleSparsity& layer : mlp_only) EXPECT_EQ(layer.qk + layer.vo, 0);
  }
}

TEST(ModuleWeights, SplitThirtyPercentOfLlama7BAsPublished) {
  ModelConfig config = TinyConfig(
      {.layers = 1, .heads = 32, .kv_heads = 32, .head_dim = 128, .intermediate = 11008});
  const auto split = [&](double mlp, double attention) {
    const PerModule<double> weights{.mlp = mlp, .qk = attention, .vo = attention};
    return OverModules(config, {0.3}, weights, 0.8).front();
  };
  EXPECT_NEAR(split(35, 20).mlp, 0.35, 2e-3);
  EXPECT_NEAR(split(35, 20).qk, 0.20, 2e-3);
  EXPECT_NEAR(split(25, 40).mlp, 0.25, 2e-3);
  EXPECT_NEAR(split(25, 40).vo, 0.40, 2e-3);
}

TEST(ModuleWeights, WhatAModuleCannotTakeGoesToTheOthers) {
  TinyModel tiny({.layers = 2});
  const ModelConfig& config = tiny.model->config();
  const PerModule<double> weights{.mlp = 10, .qk = 1, .vo = 2};
  const ModuleSparsity layer = OverModules(config, {0.6}, weights, 0.7).front();
  EXPECT_DOUBLE_EQ(layer.mlp, 0.7);
  EXPECT_NEAR(MeanSparsity(config, {layer}), 0.6, 1e-12);
  EXPECT_THROW(OverModules(config, {0.6}, {.mlp = 1, .qk = 0, .vo = 0}, 0.7), ConfigError);
}

TEST(CapAndRedistribute, FillsLayersThatWouldLoseNothing) {
  const std::vector<double> capped = CapAndRedistribute({2.5, 0, 0, 0}, 0.7);
  EXPECT_DOUBLE_EQ(capped[0], 0.7);
  for (size_t l = 1; l < 4; ++l) EXPECT_NEAR(capped[l], 0.6, 1e-12);
}

TEST(Uniform, RemovesTheSameEverywhere) {
  TinyModel tiny({.layers = 2});
  for (const ModuleSparsity& layer : Allocate(tiny, "uniform", 0.93)) {
    for (const Module module : kModules) EXPECT_NEAR(layer.of(module), 0.93, 1e-12);
  }
}

}  // namespace
}  // namespace condense
