// The loop over blocks that methods are written in: refreshed statistics, random numbers.
#include <gtest/gtest.h>

#include "base/error.h"
#include "compression/compressor.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

const StatRequest kHidden = Gram(Tap::kMlpHidden);

double Largest(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

class Job : public testing::Test {
 protected:
  void Loop(const BlockLoop& loop, const std::function<void(BlockTask&)>& fn) {
    CausalLmBuilder sink;
    CompressionJob job(tiny_.statistics, sink, tiny_.model->config().Derived(), 1);
    job.ForEachBlock(loop, fn);
    sink.Finish(job.config());
  }
  std::vector<Tensor> Grams(Refresh refresh) {
    std::vector<Tensor> grams;
    Loop({.requests = {kHidden}, .refresh = refresh},
         [&](BlockTask& task) { grams.push_back(task.stats->Get(kHidden)); });
    return grams;
  }
  TinyModel tiny_;
  InferenceScope inference_;
};

TEST_F(Job, RefreshesAgreeWhileNothingIsChanged) {
  const auto dense = Grams(Refresh::kNone), layer = Grams(Refresh::kLayer);
  for (size_t l = 0; l < dense.size(); ++l) {
    EXPECT_LT(Largest(dense[l], layer[l]), 1e-9 * dense[l].abs().max().item<double>());
  }
}

TEST_F(Job, LaterBlocksSeeTheCompressedOnes) {
  std::vector<Tensor> grams;
  Loop({.requests = {kHidden}, .refresh = Refresh::kLayer}, [&](BlockTask& task) {
    grams.push_back(task.stats->Get(kHidden));
    if (task.layer == 0) task.block.mlp.down.weight = task.block.mlp.down.weight * 0.5;
  });
  const auto dense = Grams(Refresh::kNone);
  EXPECT_LT(Largest(grams[0], dense[0]), 1e-9 * dense[0].abs().max().item<double>());
  EXPECT_GT(Largest(grams[1], dense[1]), 1e-3 * dense[1].abs().max().item<double>());
}

TEST_F(Job, CollectSeesTheBlockAsItIsNow) {
  Loop({.requests = {kHidden}, .refresh = Refresh::kModule}, [&](BlockTask& task) {
    const Tensor before = task.stats->Get(kHidden);
    EXPECT_EQ(Largest(task.Collect({kHidden}).Get(kHidden), before), 0);
    task.block.mlp.up.weight = task.block.mlp.up.weight * 2;
    EXPECT_LT(Largest(task.Collect({kHidden}).Get(kHidden), 4 * before),
              1e-5 * before.abs().max().item<double>());
  });
}

TEST_F(Job, RandomNumbersDoNotDependOnTheOrderOfLayers) {
  CausalLmBuilder sink;
  CompressionJob job(tiny_.statistics, sink, tiny_.model->config(), 7);
  const uint64_t second = job.MakeRandom("mlp", 2).NextU64();
  job.MakeRandom("mlp", 1).NextU64();
  EXPECT_EQ(job.MakeRandom("mlp", 2).NextU64(), second);
  EXPECT_NE(job.MakeRandom("mlp", 1).NextU64(), second);
}

TEST_F(Job, TooFewCalibrationTokensAreRefused) {
  TinyModel small({.sequences = 1, .length = 8});
  CausalLmBuilder sink;
  CompressionJob job(small.statistics, sink, small.model->config().Derived(), 1);
  EXPECT_THROW(job.ForEachBlock({.requests = {kHidden}}, [](BlockTask&) {}), ConfigError);
}

TEST(StatisticsStore, AFolderSparesTheForwardPass) {
  const TempFolder folder;
  TinyModel tiny;
  const auto collect = [&](StatisticsStore& store) {
    std::vector<Tensor> grams;
    store.ForEachLayer({kHidden, BlockInfluence()},
                       [&](int64_t, const BlockStatistics& statistics) {
                         grams.push_back(statistics.Get(kHidden));
                         EXPECT_EQ(statistics.tokens, 16 * 32);
                       });
    return grams;
  };
  const InferenceScope inference;
  StatisticsStore first(*tiny.model, tiny.calibration, {.folder = folder.path()});
  const auto made = collect(first);
  EXPECT_GT(first.seconds(), 0);
  StatisticsStore second(*tiny.model, tiny.calibration, {.folder = folder.path()});
  const auto read = collect(second);
  EXPECT_EQ(second.seconds(), 0);
  for (size_t l = 0; l < made.size(); ++l) EXPECT_TRUE(at::equal(made[l], read[l]));
  // Another calibration set has statistics of its own.
  TinyModel other({.seed = 2});
  StatisticsStore third(*tiny.model, other.calibration, {.folder = folder.path()});
  EXPECT_GT(Largest(collect(third)[0], made[0]), 0);
}

// Influence for a plan, then a Gram matrix that was announced. Returns the Gram matrices.
std::vector<Tensor> InfluenceThenGram(StatisticsStore& store) {
  std::vector<Tensor> grams;
  store.Announce({kHidden});
  store.Influence();
  store.ForEachLayer({kHidden}, [&](int64_t, const BlockStatistics& statistics) {
    grams.push_back(statistics.Get(kHidden));
  });
  return grams;
}

TEST(StatisticsStore, CollectsWhatIsAnnouncedInThePassThatIsMadeAnyway) {
  TinyModel tiny;
  const InferenceScope inference;
  StatisticsStore apart(*tiny.model, tiny.calibration, {});
  const std::vector<Tensor> expected = [&] {
    std::vector<Tensor> grams;
    apart.ForEachLayer({kHidden}, [&](int64_t, const BlockStatistics& statistics) {
      grams.push_back(statistics.Get(kHidden));
    });
    return grams;
  }();
  apart.Influence();
  EXPECT_EQ(apart.passes(), 2);

  StatisticsStore together(*tiny.model, tiny.calibration, {});
  const std::vector<Tensor> grams = InfluenceThenGram(together);
  EXPECT_EQ(together.passes(), 1);
  EXPECT_EQ(together.Influence(), apart.Influence());
  for (size_t l = 0; l < grams.size(); ++l) EXPECT_TRUE(at::equal(grams[l], expected[l])) << l;
}

TEST(StatisticsStore, WhatDoesNotFitIntoMemoryWaitsOnDiskOrForAPassOfItsOwn) {
  const TempFolder folder;
  const std::filesystem::path scratch = folder.path() / "scratch";
  TinyModel tiny;
  const InferenceScope inference;
  const auto options = [&](std::optional<std::filesystem::path> place) {
    return StatisticsStore::Options{.scratch = place, .memory_bytes = 0, .small_bytes = 64};
  };
  StatisticsStore nowhere(*tiny.model, tiny.calibration, options(std::nullopt));
  const std::vector<Tensor> expected = InfluenceThenGram(nowhere);
  EXPECT_EQ(nowhere.passes(), 2);
  {
    StatisticsStore store(*tiny.model, tiny.calibration, options(scratch));
    const std::vector<Tensor> grams = InfluenceThenGram(store);
    EXPECT_EQ(store.passes(), 1);
    EXPECT_TRUE(std::filesystem::exists(scratch));
    for (size_t l = 0; l < grams.size(); ++l) EXPECT_TRUE(at::equal(grams[l], expected[l])) << l;
  }
  EXPECT_FALSE(std::filesystem::exists(scratch));
}

TEST(StatisticsStore, WhatIsReadForTheLastTimeIsNotWrittenToScratch) {
  const TempFolder folder;
  TinyModel tiny;
  const InferenceScope inference;
  StatisticsStore store(
      *tiny.model, tiny.calibration,
      {.scratch = folder.path() / "scratch", .memory_bytes = 0, .small_bytes = 64});
  store.Announce({kHidden});
  CausalLmBuilder sink;
  CompressionJob job(store, sink, tiny.model->config(), 1);
  job.ForEachBlock({.requests = {kHidden}}, [](BlockTask&) {});
  EXPECT_EQ(store.passes(), 1);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "scratch"));
}

TEST(StatisticsStore, StatisticsOfFloat64MathAreKeptApart) {
  const TempFolder folder;
  TinyModel tiny;
  const InferenceScope inference;
  for (const GramMath math : {GramMath::kFloat32, GramMath::kFloat64}) {
    StatisticsStore store(*tiny.model, tiny.calibration,
                          {.folder = folder.path(), .gram_math = math});
    store.ForEachLayer({kHidden}, [](int64_t, const BlockStatistics&) {});
    EXPECT_EQ(store.passes(), 1);
  }
}

TEST(StatisticsStore, RefusesWhatTheModelCannotTake) {
  TinyModel tiny;
  CalibrationSet set = tiny.calibration;
  set.sequences[0][3] = 61;
  EXPECT_THROW(StatisticsStore(*tiny.model, set, {}), DataError);
  set = tiny.calibration;
  set.sequences[0].resize(200, 1);
  EXPECT_THROW(StatisticsStore(*tiny.model, set, {}), ConfigError);
}

}  // namespace
}  // namespace condense
