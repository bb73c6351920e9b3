// The allocator `kl_curves` (condense.md 3): what it measures, and how it spends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"
#include "compression/allocators/module_curves.h"
#include "compression/allocators/spending.h"
#include "compression/allocators/trial_states.h"
#include "model/divergence.h"
#include "support/temp_folder.h"
#include "unit/compression/compressed_models.h"

namespace condense {
namespace {

// --- Spending ------------------------------------------------------------------------------------

// Five points at quarters, with slopes that ascend.
DamageCurve RandomConvexCurve(Random& random, double cost) {
  DamageCurve curve{.cost = cost, .taken = {0}, .damage = {0}};
  std::vector<double> slopes;
  for (int i = 0; i < 4; ++i) slopes.push_back(random.Uniform());
  std::sort(slopes.begin(), slopes.end());
  for (const double slope : slopes) {
    curve.taken.push_back(curve.taken.back() + 0.25);
    curve.damage.push_back(curve.damage.back() + slope);
  }
  return curve;
}

double DamageAt(const DamageCurve& curve, double taken) {
  for (size_t i = 1; i < curve.taken.size(); ++i) {
    if (taken > curve.taken[i]) continue;
    const double part = (taken - curve.taken[i - 1]) / (curve.taken[i] - curve.taken[i - 1]);
    return curve.damage[i - 1] + part * (curve.damage[i] - curve.damage[i - 1]);
  }
  return curve.damage.back();
}

double Spent(const std::vector<DamageCurve>& curves, const std::vector<double>& taken) {
  double spent = 0;
  for (size_t i = 0; i < curves.size(); ++i) spent += curves[i].cost * taken[i];
  return spent;
}

double Damage(const std::vector<DamageCurve>& curves, const std::vector<double>& taken) {
  double damage = 0;
  for (size_t i = 0; i < curves.size(); ++i) damage += DamageAt(curves[i], taken[i]);
  return damage;
}

TEST(SpendByEqualSlope, IsOptimalAmongAllOfAGrid) {
  Random random(3, "curves");
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<DamageCurve> curves;
    for (const double cost : {1.0, 2.0, 4.0}) curves.push_back(RandomConvexCurve(random, cost));
    for (const double budget : {0.25, 1.0, 2.75, 4.5, 6.5, 7.0}) {
      const std::vector<double> taken = SpendByEqualSlope(curves, budget);
      ASSERT_NEAR(Spent(curves, taken), budget, 1e-12);
      // All points of a grid that contains those of the curves; the optimum is one of them, since
      // at most one place ends between its points and the costs divide the step.
      double best = 1e9;
      for (int a = 0; a <= 16; ++a) {
        for (int b = 0; b <= 16; ++b) {
          const double c = (budget - a / 16.0 - 2 * b / 16.0) / 4;
          if (c >= -1e-12 && c <= 1 + 1e-12) {
            best = std::min(best, Damage(curves, {a / 16.0, b / 16.0, std::clamp(c, 0.0, 1.0)}));
          }
        }
      }
      EXPECT_NEAR(Damage(curves, taken), best, 1e-12) << "budget " << budget;
    }
  }
}

TEST(PowersBetween, FollowsAPowerOfWhatIsTakenAndKeepsThePoints) {
  const auto law = [](double x) { return 3 * std::pow(x, 1.7); };
  DamageCurve curve{.cost = 2, .taken = {0}, .damage = {0}};
  for (const double x : {0.125, 0.375, 0.625}) {
    curve.taken.push_back(x);
    curve.damage.push_back(law(x));
  }
  const DamageCurve fine = PowersBetween(curve, 4);
  ASSERT_EQ(fine.taken.size(), 13u);
  EXPECT_EQ(fine.cost, 2);
  for (size_t i = 0; i < fine.taken.size(); ++i) {
    EXPECT_NEAR(fine.damage[i], law(fine.taken[i]), 1e-14) << i;
    EXPECT_NEAR(
        fine.taken[i],
        i <= 4 ? 0.03125 * static_cast<double>(i) : 0.125 + 0.0625 * static_cast<double>(i - 4),
        1e-14);
  }
  for (size_t i = 1; i < curve.taken.size(); ++i) {
    EXPECT_EQ(fine.taken[4 * i], curve.taken[i]);
    EXPECT_EQ(fine.damage[4 * i], curve.damage[i]);
  }
}

TEST(PowersBetween, RunsStraightWhereDamageDoesNotRise) {
  const DamageCurve fine =
      PowersBetween({.taken = {0, 0.25, 0.5, 0.75}, .damage = {0, 0, 0.2, 0.1}}, 2);
  EXPECT_THAT(fine.damage, testing::ElementsAre(0, 0, 0, testing::DoubleEq(0.1), 0.2,
                                                testing::DoubleEq(0.15), 0.1));
  const DamageCurve one = PowersBetween({.taken = {0, 0.5}, .damage = {0, 0.2}}, 2);
  EXPECT_THAT(one.damage, testing::ElementsAre(0, testing::DoubleEq(0.1), 0.2));
}

TEST(SpendByEqualSlope, TakesNoLessAnywhereWhenThereIsMoreToSpend) {
  Random random(4, "curves");
  std::vector<DamageCurve> curves;
  for (const double cost : {1.0, 0.3, 2.0, 0.7}) curves.push_back(RandomConvexCurve(random, cost));
  std::vector<double> last(curves.size(), 0);
  for (double budget = 0; budget <= 4; budget += 0.01) {
    const std::vector<double> taken = SpendByEqualSlope(curves, budget);
    for (size_t i = 0; i < taken.size(); ++i) EXPECT_GE(taken[i], last[i] - 1e-12);
    last = taken;
  }
  for (const double taken : last) EXPECT_NEAR(taken, 1, 1e-9);
}

TEST(SpendByEqualSlope, SharesEqualSlopesOutInProportion) {
  const DamageCurve flat{.cost = 1, .taken = {0, 0.5}, .damage = {0, 0}};
  const DamageCurve dear{.cost = 1, .taken = {0, 1}, .damage = {0, 1}};
  DamageCurve wide = flat;
  wide.cost = 3;
  const std::vector<double> taken = SpendByEqualSlope({flat, dear, wide}, 1);
  EXPECT_NEAR(taken[0], 0.25, 1e-12);
  EXPECT_EQ(taken[1], 0);
  EXPECT_NEAR(taken[2], 0.25, 1e-12);
}

TEST(ConvexHull, NeverFallsAndSkipsWhatLiesAboveIt) {
  const DamageCurve hull = ConvexHull(
      {.cost = 2, .taken = {0, 0.1, 0.2, 0.3, 0.6, 0.8}, .damage = {0, -1e-9, 0.5, 0.4, 0.7, 2}});
  EXPECT_EQ(hull.taken, (std::vector<double>{0, 0.1, 0.6, 0.8}));
  EXPECT_EQ(hull.damage, (std::vector<double>{0, 0, 0.7, 2}));
  EXPECT_EQ(hull.cost, 2);
}

// --- Measuring -----------------------------------------------------------------------------------

const CurveOptions kOptions{.windows = 3, .tokens = 20, .levels = {0.25, 0.5, 0.875}};

// Mean KL(dense || compressed) over the windows that kOptions ask for, by plain operators.
double PlainDivergence(const TinyModel& tiny, const CausalLm& compressed) {
  double sum = 0;
  int64_t tokens = 0;
  for (int64_t i = 0; i < 3; ++i) {
    const auto& sequence = tiny.calibration.sequences[static_cast<size_t>(i * 16 / 3)];
    const std::span<const int32_t> window[] = {std::span(sequence).first(20)};
    const Tensor ids = StackIds(window, at::kCPU);
    const Tensor p = tiny.model->Logits(ids).to(kF64).log_softmax(-1);
    const Tensor q = compressed.Logits(ids).to(kF64).log_softmax(-1);
    sum += (p.exp() * (p - q)).sum().item<double>();
    tokens += ids.numel();
  }
  return sum / static_cast<double>(tokens);
}

std::unique_ptr<CausalLm> WithBlock(const CausalLm& model, int64_t layer, const Block& block) {
  CausalLmBuilder builder("trial");
  builder.PutEmbedding(model.embedding());
  ModelConfig config = model.config().Derived();
  for (int64_t l = 0; l < config.num_layers(); ++l) {
    builder.PutBlock(l, l == layer ? block : model.LoadBlock(l));
  }
  LayerConfig& narrowed = config.layers[static_cast<size_t>(layer)];
  const LayerConfig shape = ShapeOf(block);
  narrowed.heads = shape.heads;
  narrowed.mlp_width = shape.mlp_width;
  narrowed.linears = shape.linears;
  narrowed.selected_pairs = shape.selected_pairs;
  builder.PutHead(model.head());
  builder.Finish(config);
  return builder.Take();
}

const std::string kMethodsWithTrials[] = {"modegpt",
                                          "modegpt_plus",
                                          "{use: modegpt, modules: {qk: false}, refresh: layer}",
                                          "obc",
                                          "{use: flap, allocation: allocator, unit: query_head}",
                                          "{use: magnitude, unit: qk_vo}",
                                          "{use: wanda_structured, modules: {attention: false}}",
                                          "random",
                                          "svd",
                                          "asvd",
                                          "{use: svd_llm, update: true}"};

class Curves : public testing::TestWithParam<std::tuple<std::string, bool>> {
 protected:
  TinyModel tiny_{std::get<1>(GetParam()) ? kOpt : kGrouped};
  Component<Compressor> method_ = Method(std::get<0>(GetParam()));
  InferenceScope inference_;
};

TEST_P(Curves, EqualWholeModelsWithOnePartReplaced) {
  const ModuleTrials& trials = *method_->trials();
  const auto curves = MeasureCurves(tiny_.statistics, trials, kOptions);
  ASSERT_EQ(curves.size(), 3 * trials.ModuleGroups().size());
  auto curve = curves.begin();
  tiny_.statistics.ForEachLayer(
      trials.TrialRequests(tiny_.model->config()),
      [&](int64_t l, const BlockStatistics& statistics) {
        const Block dense = tiny_.model->LoadBlock(l);
        const TrialInput input{
            .model = tiny_.model->config(), .dense = dense, .statistics = statistics, .layer = l};
        for (const ModuleGroup& group : trials.ModuleGroups()) {
          EXPECT_EQ(curve->layer, l);
          EXPECT_EQ(curve->group.name, group.name);
          EXPECT_EQ(curve->removed.front(), 0);
          EXPECT_EQ(curve->divergence.front(), 0);
          double share = 0;
          for (const Module module : group.modules) share += ModuleShare(input.model, module);
          size_t point = 1;
          for (const Block& block : CompressedAlone(trials, input, group, kOptions.levels)) {
            const auto model = WithBlock(*tiny_.model, l, block);
            const double removed = RatiosOf(model->config()).block * 3 / share;
            if (removed <= curve->removed[point - 1] + 1e-9) continue;
            ASSERT_LT(point, curve->removed.size());
            EXPECT_NEAR(curve->removed[point], removed, 1e-9);
            const double plain = PlainDivergence(tiny_, *model);
            EXPECT_NEAR(curve->divergence[point], plain, 1e-4 * plain + 1e-6);
            ++point;
          }
          EXPECT_EQ(point, curve->removed.size());
          ++curve;
        }
      });
}

// Bytes of the residual streams of the trials of one layer.
uint64_t StateBytes(const ModuleTrials& trials) {
  return trials.ModuleGroups().size() * 3 * 60 * 32 * sizeof(float);
}

TEST_P(Curves, AreTheSameWithStreamsInAFile) {
  CurveOptions in_file = kOptions, some_in_file = kOptions;
  in_file.state_bytes = 0;
  some_in_file.state_bytes = StateBytes(*method_->trials());
  const auto in_memory = MeasureCurves(tiny_.statistics, *method_->trials(), kOptions);
  for (const CurveOptions& options : {in_file, some_in_file}) {
    const auto curves = MeasureCurves(tiny_.statistics, *method_->trials(), options);
    ASSERT_EQ(curves.size(), in_memory.size());
    for (size_t i = 0; i < curves.size(); ++i) {
      EXPECT_EQ(curves[i].removed, in_memory[i].removed);
      EXPECT_EQ(curves[i].divergence, in_memory[i].divergence);
    }
  }
}

TEST_P(Curves, DoNotDependOnHowManyStreamsMoveTogether) {
  CurveOptions single = kOptions;
  single.group_bytes = 1;
  single.state_bytes = StateBytes(*method_->trials());
  const auto together = MeasureCurves(tiny_.statistics, *method_->trials(), kOptions);
  const auto apart = MeasureCurves(tiny_.statistics, *method_->trials(), single);
  ASSERT_EQ(together.size(), apart.size());
  for (size_t i = 0; i < apart.size(); ++i) {
    EXPECT_EQ(together[i].removed, apart[i].removed);
    for (size_t k = 0; k < apart[i].divergence.size(); ++k) {
      EXPECT_NEAR(together[i].divergence[k], apart[i].divergence[k],
                  1e-5 * apart[i].divergence[k] + 1e-7);
    }
  }
}

int64_t Weights(const Block& block) {
  int64_t count = 0;
  for (const Role role : kRoles) {
    const Linear& linear = block.LinearOf(role);
    for (const Tensor& x : {linear.weight, linear.a, linear.b}) {
      if (x.defined()) count += x.numel();
    }
  }
  return count;
}

// Trial by trial, from the changed block to the top: what the walk of all trials together replaces.
std::vector<double> DivergencesOneByOne(TinyModel& tiny, const ModuleTrials& trials) {
  std::vector<std::vector<int32_t>> windows;
  for (int64_t i = 0; i < 3; ++i) {
    windows.push_back(tiny.calibration.sequences[static_cast<size_t>(i * 16 / 3)]);
    windows.back().resize(20);
  }
  const CausalLm& model = *tiny.model;
  const ModelConfig& config = model.config();
  const TokenBatches tokens(windows);
  ActivationStream stream(model.embedding(), tokens, at::kCPU), top = stream;
  top.Advance(model, BlocksFrom(model));
  const int64_t width = config.hidden_size;
  std::vector<double> divergences;
  tiny.statistics.ForEachLayer(
      trials.TrialRequests(config), [&](int64_t l, const BlockStatistics& statistics) {
        const Block dense = model.LoadBlock(l);
        const TrialInput input{
            .model = config, .dense = dense, .statistics = statistics, .layer = l};
        for (const ModuleGroup& group : trials.ModuleGroups()) {
          int64_t left = Weights(dense);
          for (const Block& block : CompressedAlone(trials, input, group, kOptions.levels)) {
            if (Weights(block) == left) continue;  // rounded to the same width
            left = Weights(block);
            ActivationStream trial = stream;
            trial.Advance(block);
            trial.Advance(model, BlocksFrom(model, l + 1));
            double sum = 0;
            for (int64_t b = 0; b < trial.batches(); ++b) {
              sum += SumDivergences(model.head(), top.batch(b).view({-1, width}),
                                    {trial.batch(b).view({-1, width})})[0];
            }
            divergences.push_back(sum / static_cast<double>(tokens.tokens()));
          }
        }
        stream.Advance(dense);
      });
  return divergences;
}

TEST_P(Curves, EqualTrialsThatRunOneByOne) {
  TinyModel wide(Wide(std::get<1>(GetParam()) ? kOpt : kGrouped));
  const std::vector<double> one_by_one = DivergencesOneByOne(wide, *method_->trials());
  size_t next = 0;
  for (const ModuleCurve& curve : MeasureCurves(wide.statistics, *method_->trials(), kOptions)) {
    for (size_t i = 1; i < curve.divergence.size(); ++i) {
      ASSERT_LT(next, one_by_one.size());
      const double expected = one_by_one[next++];
      EXPECT_NEAR(curve.divergence[i], expected, 1e-6 * expected + 1e-12);
    }
  }
  EXPECT_EQ(next, one_by_one.size());
}

TEST_P(Curves, AreTheSameForAModelThatIsReadBlockByBlock) {
  const StreamedModel streamed(*tiny_.model);
  StatisticsStore statistics(streamed, tiny_.calibration, {});
  const auto here = MeasureCurves(tiny_.statistics, *method_->trials(), kOptions);
  const auto there = MeasureCurves(statistics, *method_->trials(), kOptions);
  // The pass that collects the statistics is the walk of the trials.
  EXPECT_EQ(streamed.loads, 3);
  ASSERT_EQ(here.size(), there.size());
  for (size_t i = 0; i < here.size(); ++i) {
    EXPECT_EQ(here[i].removed, there[i].removed);
    EXPECT_EQ(here[i].divergence, there[i].divergence);
  }
}

TEST_P(Curves, LeadToAllocationsThatMeetTheBudgetWithinTheCap) {
  const auto allocator = MakeComponent<Allocator>(
      Node::ParseText("{use: kl_curves, windows: 2, cap: 0.8}", "test.yaml"));
  const ModelConfig& config = tiny_.model->config();
  const auto request = [&](double target) {
    return AllocationRequest{.dense = config,
                             .target = target,
                             .statistics = tiny_.statistics,
                             .trials = method_->trials()};
  };
  double most = 0;
  std::map<std::pair<int64_t, Module>, double> reach;
  for (const ModuleCurve& curve : allocator->Curves(request(0))) {
    for (const Module module : curve.group.modules) {
      most += ModuleShare(config, module) * curve.removed.back() / 3;
      reach[{curve.layer, module}] = curve.removed.back();
    }
  }
  EXPECT_GT(most, 0.3);
  std::vector<ModuleSparsity> last(config.layers.size());
  for (double target = 0; target <= most; target += most / 7 - 1e-13) {
    const Allocation allocation = allocator->Allocate(request(target));
    EXPECT_NEAR(MeanSparsity(config, allocation), target, 1e-12);
    for (size_t l = 0; l < last.size(); ++l) {
      for (const Module module : kModules) {
        const double removed = allocation[l].of(module);
        EXPECT_LE(removed, (reach[{static_cast<int64_t>(l), module}]) + 1e-12);
        EXPECT_GE(removed, last[l].of(module) - 1e-12);
      }
    }
    last = allocation;
  }
  EXPECT_THROW(allocator->Allocate(request(most + 0.01)), ConfigError);
}

TEST_P(Curves, ServeTheMethod) {
  const auto allocator = MakeComponent<Allocator>("kl_curves");
  const Compressed made = CompressWith(tiny_.statistics, std::get<0>(GetParam()), 0.3, *allocator);
  EXPECT_GE(made.result.ratios.block, 0.3 - 1e-12);
  EXPECT_LT(made.result.ratios.block, 0.4);
  const CompressionReport& report = made.result.report;
  EXPECT_EQ(report.curves.size(), 3 * method_->trials()->ModuleGroups().size());
  EXPECT_EQ(report.allocation.size(), 3u);
}

INSTANTIATE_TEST_SUITE_P(Methods, Curves,
                         testing::Combine(testing::ValuesIn(kMethodsWithTrials), testing::Bool()),
                         [](const auto& info) {
                           return fmt::format("{}{}", info.index,
                                              std::get<1>(info.param) ? "Opt" : "Llama");
                         });

// --- Keeping -------------------------------------------------------------------------------------

// Counts how often a method's trials are asked for.
class CountedTrials final : public ModuleTrials {
 public:
  CountedTrials(const ModuleTrials& trials, std::string suffix)
      : trials_(trials), suffix_(std::move(suffix)) {}
  std::string TrialKey() const override { return trials_.TrialKey() + suffix_; }
  std::vector<ModuleGroup> ModuleGroups() const override { return trials_.ModuleGroups(); }
  StatRequests TrialRequests(const ModelConfig& model) const override {
    return trials_.TrialRequests(model);
  }
  void CompressAlone(const TrialInput& input, const ModuleGroup& group,
                     const std::vector<double>& removed,
                     const std::function<void(const TrialBlock& made)>& use) const override {
    ++calls;
    trials_.CompressAlone(input, group, removed, use);
  }
  mutable int calls = 0;

 private:
  const ModuleTrials& trials_;
  std::string suffix_;
};

TEST(KlCurves, AreMeasuredOnceForAllRatiosAndRuns) {
  const TempFolder folder;
  const TinyModel tiny;
  const StatisticsStore::Options options{.folder = folder.path()};
  const auto method = Method("modegpt");
  const auto allocator = MakeComponent<Allocator>("kl_curves");
  const CountedTrials trials(*method->trials(), "");
  const auto allocate = [&](StatisticsStore& store, double target, const ModuleTrials& with) {
    return allocator->Allocate(
        {.dense = tiny.model->config(), .target = target, .statistics = store, .trials = &with});
  };
  StatisticsStore store(*tiny.model, tiny.calibration, options);
  const Allocation first = allocate(store, 0.3, trials);
  EXPECT_EQ(trials.calls, 9);
  allocate(store, 0.5, trials);
  EXPECT_EQ(trials.calls, 9);

  StatisticsStore later(*tiny.model, tiny.calibration, options);
  const Allocation again = allocate(later, 0.3, trials);
  EXPECT_EQ(trials.calls, 9);
  for (size_t l = 0; l < first.size(); ++l) {
    for (const Module module : kModules) EXPECT_EQ(first[l].of(module), again[l].of(module));
  }

  const CountedTrials others(*method->trials(), "other options");
  allocate(later, 0.3, others);
  EXPECT_EQ(others.calls, 9);
}

// --- Statistics of a part of the set -------------------------------------------------------------

// Trials that say what their statistics held.
class RecordedTrials final : public ModuleTrials {
 public:
  explicit RecordedTrials(const ModuleTrials& trials) : trials_(trials) {}
  std::string TrialKey() const override { return trials_.TrialKey(); }
  std::vector<ModuleGroup> ModuleGroups() const override { return trials_.ModuleGroups(); }
  StatRequests TrialRequests(const ModelConfig& model) const override {
    return trials_.TrialRequests(model);
  }
  bool SharesStatistics() const override { return trials_.SharesStatistics(); }
  void CompressAlone(const TrialInput& input, const ModuleGroup& group,
                     const std::vector<double>& removed,
                     const std::function<void(const TrialBlock& made)>& use) const override {
    if (metrics.size() <= static_cast<size_t>(input.layer)) {
      tokens = input.statistics.tokens;
      metrics.push_back(input.statistics.Get(PairMetric(8, 16)));
    }
    trials_.CompressAlone(input, group, removed, use);
  }
  mutable int64_t tokens = 0;
  mutable std::vector<Tensor> metrics;

 private:
  const ModuleTrials& trials_;
};

TEST(KlCurves, FitTrialsToAPartWhoseStatisticsOfScoresServeTheMethodToo) {
  // 12 x 6 channels take 2 of 128 sequences, a quarter of the tokens 32.
  TinyModel tiny({.intermediate = 12, .sequences = 128, .length = 32});
  const auto method = Method("condense");
  ASSERT_FALSE(method->trials()->SharesStatistics());
  const RecordedTrials trials(*method->trials());
  const auto allocator = MakeComponent<Allocator>("kl_curves");
  allocator->Allocate({.dense = tiny.model->config(),
                       .target = 0.3,
                       .statistics = tiny.statistics,
                       .trials = &trials});
  EXPECT_EQ(trials.tokens, 32 * 32);
  const double before = tiny.statistics.seconds();
  StatisticsStore whole(*tiny.model, tiny.calibration, {});
  std::vector<Tensor> expected;
  whole.ForEachLayer({PairMetric(8, 16)}, [&](int64_t, const BlockStatistics& statistics) {
    expected.push_back(statistics.Get(PairMetric(8, 16)));
  });
  tiny.statistics.ForEachLayer({PairMetric(8, 16)}, [&](int64_t l, const BlockStatistics& known) {
    const Tensor& adopted = known.Get(PairMetric(8, 16));
    EXPECT_TRUE(at::equal(adopted, trials.metrics[static_cast<size_t>(l)]));
    EXPECT_TRUE(at::allclose(adopted, expected[static_cast<size_t>(l)], 1e-5, 1e-7));
    EXPECT_EQ(known.tokens, 128 * 32);
  });
  EXPECT_EQ(tiny.statistics.seconds(), before);  // no pass was needed
}

TEST(KlCurves, FitTrialsToAllTokensWhereTheMethodIsFittedToThemToo) {
  TinyModel tiny({.sequences = 128, .length = 32});
  const auto allocator = MakeComponent<Allocator>("kl_curves");
  for (const std::string name : {"{use: condense, inputs: dense}", "{use: condense}"}) {
    const auto method = Method(name);
    const RecordedTrials trials(*method->trials());
    allocator->Allocate({.dense = tiny.model->config(),
                         .target = 0.3,
                         .statistics = tiny.statistics,
                         .trials = &trials});
    EXPECT_EQ(trials.tokens, name == "{use: condense}" ? 32 * 32 : 128 * 32);
  }
}

TEST(KlCurves, NeedAMethodWithTrials) {
  TinyModel tiny;
  const auto allocator = MakeComponent<Allocator>("kl_curves");
  try {
    allocator->Allocate(
        {.dense = tiny.model->config(), .target = 0.3, .statistics = tiny.statistics});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("does not offer"), std::string::npos);
  }
}

// Asks another allocator, and says how often.
class CountedAllocator final : public Allocator {
 public:
  explicit CountedAllocator(const Allocator& allocator) : allocator_(allocator) {}
  Allocation Allocate(const AllocationRequest& request) const override {
    ++calls;
    return allocator_.Allocate(request);
  }
  mutable int calls = 0;

 private:
  const Allocator& allocator_;
};

TEST(KlCurves, AreNotMeasuredForATargetThatHasTooFewTokens) {
  // 48 channels, three fifths of the weights: at 20% at least 32 of them stay somewhere, at 50% it
  // may be 8.
  for (const int64_t sequences : {2, 3}) {
    TinyModel tiny({.sequences = sequences, .length = 12});
    const auto curves = MakeComponent<Allocator>("kl_curves");
    const CountedAllocator allocator(*curves);
    if (sequences == 3) {
      CompressWith(tiny.statistics, "modegpt", 0.5, allocator);
      EXPECT_GT(allocator.calls, 0);
      continue;
    }
    try {
      CompressWith(tiny.statistics, "modegpt", 0.2, allocator);
      FAIL();
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()).find("24 tokens, but at least 31"), std::string::npos)
          << error.what();
    }
    EXPECT_EQ(allocator.calls, 0);
  }
}

TEST(KlCurves, SayHowMuchCanBeRemovedAtMost) {
  TinyModel tiny;
  const auto allocator = MakeComponent<Allocator>(
      Node::ParseText("{use: kl_curves, windows: 1, cap: 0.5}", "test.yaml"));
  EXPECT_THROW(CompressWith(tiny.statistics, "modegpt", 0.6, *allocator), ConfigError);
  EXPECT_THROW(
      CompressWith(tiny.statistics, "{use: modegpt, modules: {mlp: false}}", 0.4, *allocator),
      ConfigError);
}

}  // namespace
}  // namespace condense
