// `condense`: what its fits promise, that each option does what it says, and that it falls back to
// MoDeGPT's modules where they are the same mathematics.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "model/activation_stream.h"
#include "unit/compression/compressed_models.h"

namespace condense {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const char* NameOf(const TinyModelOptions& options) {
  return options.opt ? "Opt" : options.kv_heads == 4 ? "Llama" : "LlamaGrouped";
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

Tensor LogitsOf(const Compressed& compressed, const TinyModelOptions& options) {
  return compressed.model->Logits(TinyIds(options));
}

double Largest(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>() / b.abs().max().item<double>();
}

// ||X_l - X^_l||^2 of the residual stream at the output of each block, over the calibration set.
std::vector<double> StreamErrors(const TinyModel& tiny, const CausalLm& compressed) {
  const auto stream_of = [&](const CausalLm& model) {
    return ActivationStream(model.embedding(), tiny.statistics.tokens(), model.device());
  };
  ActivationStream dense = stream_of(*tiny.model), other = stream_of(compressed);
  std::vector<double> errors;
  for (int64_t l = 0; l < tiny.model->config().num_layers(); ++l) {
    const Block a = tiny.model->LoadBlock(l), b = compressed.LoadBlock(l);
    dense.Transform([&](const Tensor& x) { return a.Forward(x); });
    other.Transform([&](const Tensor& x) { return b.Forward(x); });
    double error = 0;
    for (int64_t i = 0; i < dense.batches(); ++i) {
      error += (dense.batch(i).to(kF64) - other.batch(i).to(kF64)).square().sum().item<double>();
    }
    errors.push_back(error);
  }
  return errors;
}

class Condense : public testing::TestWithParam<TinyModelOptions> {};

TEST_P(Condense, RunsWithEveryOptionMeetsTheRatioAndRepeats) {
  TinyModel tiny(GetParam());
  std::vector<std::string> settings{
      "condense",
      "{use: condense, inputs: dense}",
      "{use: condense, target: own}",
      "{use: condense, alpha: 0.5}",
      "{use: condense, token_weight: inverse_norm}",
      "{use: condense, lambda: 0.01}",
      "{use: condense, drift: 0}",
      "{use: condense, query_key: scores}",
      "{use: condense, query_key: scores, gains: false}",
      "{use: condense, gains: false}",
      "{use: condense, value: attended}",
      "{use: condense, value: values}",
      "{use: condense, joint_output: false}",
      "{use: condense, mlp: leverage}",
      "{use: condense, head_budget: equal}",
      "{use: condense, head_budget: equal, query_key: scores}",
      "{use: condense, value: values, head_budget: equal}",
      "{use: condense, query_stride: 4}",
      "{use: condense, sweeps: 1}",
      "{use: condense, value: attended, joint_output: false}",
      "{use: condense, rounding: floor}",
      "{use: condense, mlp_steps: 0}",
      "{use: condense, mlp_steps: 1, attention_steps: 2, step_iterations: 2}",
      "{use: condense, mlp_stride: 3, attention_stride: 2}",
      "{use: condense, modules: {mlp: false}}"};
  if (!GetParam().opt) settings.emplace_back("{use: condense, head_refit: true}");
  const Compressed plain = CompressTo(tiny, "condense");
  for (const std::string& setting : settings) {
    SCOPED_TRACE(setting);
    const Compressed one = CompressTo(tiny, setting), two = CompressTo(tiny, setting);
    EXPECT_GE(one.result.ratios.block, 0.3 - 1e-12);
    EXPECT_LT(one.result.ratios.block, 0.45);
    const Tensor logits = LogitsOf(one, GetParam());
    EXPECT_TRUE(at::isfinite(logits).all().item<bool>());
    EXPECT_TRUE(at::equal(logits, LogitsOf(two, GetParam())));
  }
}

TEST_P(Condense, KeepsWhatLiesBelowTheFirstNarrowedModuleBitForBit) {
  TinyModel tiny(GetParam());
  for (const std::string method : {"condense", "{use: condense, drift: 0}"}) {
    const Compressed same = CompressFixed(tiny, method, {});
    Allocation above(3);
    above[1].mlp = 0.5;
    const Compressed upper = CompressWith(tiny.statistics, method, 0.5, FixedAllocator(above));
    for (int64_t l = 0; l < 3; ++l) {
      EXPECT_TRUE(SameTensors(tiny.model->LoadBlock(l), same.model->LoadBlock(l)));
    }
    EXPECT_TRUE(SameTensors(tiny.model->LoadBlock(0), upper.model->LoadBlock(0)));
    Block half = upper.model->LoadBlock(1);
    half.mlp = tiny.model->LoadBlock(1).mlp;
    EXPECT_TRUE(SameTensors(tiny.model->LoadBlock(1), half));
    // What lies above makes up for it, at full width.
    const Block last = upper.model->LoadBlock(2), dense = tiny.model->LoadBlock(2);
    EXPECT_EQ(last.mlp.down.weight.sizes(), dense.mlp.down.weight.sizes());
    EXPECT_FALSE(at::equal(last.mlp.down.weight, dense.mlp.down.weight));
    EXPECT_FALSE(at::equal(last.attention.o.weight, dense.attention.o.weight));
  }
}

TEST_P(Condense, FitsTheFirstNarrowedModuleAsInOnePass) {
  TinyModel tiny(Wide(GetParam()));
  for (const Module module : kModules) {
    Allocation first(3);
    first[0].of(module) = 0.5;
    const FixedAllocator allocator(first);
    const Compressed follows = CompressWith(
        tiny.statistics, "{use: condense, attention_steps: 0, mlp_steps: 0}", 0.5, allocator);
    const Compressed once =
        CompressWith(tiny.statistics, "{use: condense, inputs: dense}", 0.5, allocator);
    Block a = follows.model->LoadBlock(0);
    const Block b = once.model->LoadBlock(0);
    // A narrowed query/key or value/output pair is made up for in the same block.
    if (module != Module::kMlp) a.mlp = b.mlp;
    if (module == Module::kQk) a.attention.o = b.attention.o;
    std::vector<Tensor> left, right;
    a.ForEachTensor([&](const std::string&, Tensor& t) { left.push_back(t); });
    Block(b).ForEachTensor([&](const std::string&, Tensor& t) { right.push_back(t); });
    for (size_t i = 0; i < left.size(); ++i) {
      ASSERT_EQ(left[i].defined(), right[i].defined());
      if (left[i].defined() && left[i].is_floating_point()) {
        EXPECT_LT(Largest(left[i], right[i]), 1e-6) << ModuleName(module);
      }
    }
  }
}

TEST_P(Condense, OnDenseInputsItsPartsAreThoseOfMoDeGpt) {
  TinyModel tiny(Wide(GetParam()));
  const std::string ours =
      "{use: condense, inputs: dense, lambda: 1e-12, query_key: scores, value: attended, "
      "joint_output: false, head_budget: equal, gains: ";
  const std::string theirs =
      "{use: modegpt, mlp_selector: {use: obc, damping: 1e-12}, qk_pair_score: "
      "exact, vo_stat: attended, qk_gain: ";
  for (const Module module : kModules) {
    // MoDeGPT has no intercepts there, and one fit for all query heads of a group.
    if (module != Module::kQk && GetParam().opt) continue;
    if (module == Module::kVo && GetParam().kv_heads < GetParam().heads) continue;
    ModuleSparsity removed;
    removed.of(module) = 0.5;
    for (const bool gains : {false, true}) {
      const Compressed a = CompressFixed(tiny, ours + (gains ? "true}" : "false}"), removed);
      const Compressed b = CompressFixed(tiny, theirs + (gains ? "best}" : "none}"), removed);
      EXPECT_LT(Largest(LogitsOf(a, GetParam()), LogitsOf(b, GetParam())), 1e-6)
          << ModuleName(module) << gains;
    }
  }
}

TEST_P(Condense, MakingUpForTheStreamLeavesNoLargerErrorInIt) {
  TinyModel tiny(GetParam());
  const auto errors = [&](const std::string& setting) {
    return StreamErrors(tiny, *CompressTo(tiny, setting).model);
  };
  const std::vector<double> all = errors("condense"), none = errors("{use: condense, alpha: 0}"),
                            once = errors("{use: condense, inputs: dense}");
  for (size_t l = 0; l < all.size(); ++l) {
    EXPECT_LT(all[l], none[l] * (1 + 1e-6)) << l;
    EXPECT_LT(all[l], once[l] * (1 + 1e-6)) << l;
  }
  EXPECT_LT(all.back(), 0.98 * none.back());
}

TEST_P(Condense, FittingAllMatricesOfAModuleBringsTheStreamCloser) {
  TinyModel tiny(GetParam());
  struct Steps {
    const char *option, *module;
  };
  for (const auto& [option, module] : {Steps{"mlp_steps", "mlp"}, Steps{"attention_steps", "vo"}}) {
    SCOPED_TRACE(option);
    const auto compressed = [&, option = option](int steps, const char* target) {
      return CompressTo(
          tiny, fmt::format("{{use: condense, target: {}, {}: {}}}", target, option, steps));
    };
    const auto stream = [&](int steps) {
      return StreamErrors(tiny, *compressed(steps, "residual").model);
    };
    const std::vector<double> all = stream(2), writer_alone = stream(0);
    for (size_t l = 0; l < all.size(); ++l) EXPECT_LT(all[l], writer_alone[l]) << l;

    // What is reported is the error that is left; with the own target too.
    for (const char* target : {"residual", "own"}) {
      const auto error = [&, module = module](int steps) {
        return *compressed(steps, target).result.report.layers[0].modules.at(module).relative_error;
      };
      EXPECT_LT(error(1), error(0)) << target;
      EXPECT_LE(error(2), error(1)) << target;
    }
  }
}

TEST_P(Condense, LeavesQueriesAndKeysThatAreSwitchedOffAsTheyAre) {
  TinyModel tiny(GetParam());
  const Compressed compressed =
      CompressTo(tiny, "{use: condense, drift: 0, modules: {qk: false}}", 0.2);
  for (int64_t l = 0; l < 3; ++l) {
    const Attention before = tiny.model->LoadBlock(l).attention,
                    after = compressed.model->LoadBlock(l).attention;
    EXPECT_TRUE(at::equal(before.q.weight, after.q.weight)) << l;
    EXPECT_TRUE(at::equal(before.k.weight, after.k.weight)) << l;
    EXPECT_FALSE(at::equal(before.o.weight, after.o.weight)) << l;
  }
}

TEST_P(Condense, LeavesAModuleThatIsSwitchedOffBitForBit) {
  TinyModel tiny(GetParam());
  const Compressed compressed = CompressTo(tiny, "{use: condense, modules: {mlp: false}}", 0.1);
  for (int64_t l = 0; l < 3; ++l) {
    Block block = compressed.model->LoadBlock(l);
    EXPECT_FALSE(at::equal(block.attention.o.weight, tiny.model->LoadBlock(l).attention.o.weight));
    block.attention = tiny.model->LoadBlock(l).attention;
    EXPECT_TRUE(SameTensors(tiny.model->LoadBlock(l), block)) << l;
  }
}

TEST_P(Condense, PassesAValueBiasOnToTheOutput) {
  TinyModel tiny(GetParam());
  const Compressed half = CompressFixed(tiny, "condense", {.vo = 0.5});
  const Attention& attention = half.model->blocks()[0].attention;
  EXPECT_FALSE(attention.v.bias.defined());
  EXPECT_EQ(attention.o.bias.defined(), GetParam().opt);
  const Compressed full = CompressFixed(tiny, "condense", {.qk = 0.5});
  EXPECT_EQ(full.model->blocks()[0].attention.v.bias.defined(), GetParam().opt);
  EXPECT_EQ(full.model->blocks()[0].mlp.down.bias.defined(), GetParam().opt);
}

// A head whose values, or queries, hardly matter gives its columns to the others: the layer keeps
// as many as with equal heads, and loses less. Pairs are given one at a time: of four in a head,
// one that brings little may hide another that brings more, so that little is sure for them.
TEST_P(Condense, PooledHeadsGoWhereTheyAreNeeded) {
  TinyModel tiny(Wide(GetParam()));
  const auto model = WithBlocks(*tiny.model, [](Block& block) {
    const int64_t queries = 8 * block.attention.heads[0].queries;
    for (const auto& [linear, rows] :
         {std::pair{&block.attention.q, queries}, std::pair{&block.attention.v, int64_t{8}}}) {
      linear->weight = linear->weight.clone();
      linear->weight.narrow(0, 0, rows) *= 0.02;
      if (linear->bias.defined()) linear->bias = linear->bias * 0;
    }
  });
  StatisticsStore statistics(*model, tiny.calibration, {});
  for (const Module module : {Module::kQk, Module::kVo}) {
    ModuleSparsity half;
    half.of(module) = 0.5;
    const FixedAllocator allocator(Allocation(3, half));
    const auto compressed = [&](const std::string& budget) {
      return CompressWith(statistics, "{use: condense, inputs: dense, head_budget: " + budget + "}",
                          0.5, allocator);
    };
    const Compressed pooled = compressed("pooled"), equal = compressed("equal");
    for (size_t l = 0; l < 3; ++l) {
      const ModuleReport &a = pooled.result.report.layers[l].modules.at(ModuleName(module)),
                         &b = equal.result.report.layers[l].modules.at(ModuleName(module));
      EXPECT_EQ(std::accumulate(a.widths.begin(), a.widths.end(), int64_t{0}),
                std::accumulate(b.widths.begin(), b.widths.end(), int64_t{0}));
      EXPECT_LT(a.widths[0], 4) << ModuleName(module) << l;
      const double most = module == Module::kQk ? 1 : 0.9;
      EXPECT_LE(*a.relative_error, most * *b.relative_error) << ModuleName(module) << l;
      const std::vector<HeadConfig>& heads = pooled.model->config().layers[l].heads;
      for (size_t j = 0; j < heads.size(); ++j) {
        EXPECT_EQ(module == Module::kQk ? heads[j].qk_width : heads[j].vo_width, a.widths[j]);
      }
    }
  }
}

TEST_P(Condense, TrialsCompressAsTheMethodDoesOnDenseInputs) {
  TinyModel tiny(GetParam());
  const auto method = Method("condense");
  const ModuleTrials& trials = *method->trials();
  const std::vector<double> removed{0.25, 0.5};
  for (const ModuleGroup& group : trials.ModuleGroups()) {
    std::vector<Compressed> whole;
    for (const double fraction : removed) {
      ModuleSparsity alone;
      alone.of(group.modules.front()) = fraction;
      whole.push_back(CompressFixed(tiny, "{use: condense, inputs: dense}", alone));
    }
    tiny.statistics.ForEachLayer(
        trials.TrialRequests(tiny.model->config()),
        [&](int64_t l, const BlockStatistics& statistics) {
          const Block dense = tiny.model->LoadBlock(l);
          const std::vector<Block> blocks = CompressedAlone(
              trials,
              {.model = tiny.model->config(), .dense = dense, .statistics = statistics, .layer = l},
              group, removed);
          ASSERT_EQ(blocks.size(), 2u);
          for (size_t i = 0; i < 2; ++i) {
            EXPECT_TRUE(SameTensors(blocks[i], whole[i].model->LoadBlock(l))) << group.name;
          }
        });
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Condense, testing::Values(kLlama, kGrouped, kOpt),
                         [](const auto& info) { return NameOf(info.param); });

TEST(CondenseOptions, RefuseWhatTheyCannotDo) {
  for (const std::string option : {"drift: 0.5", "attention_steps: 1", "mlp_steps: 1",
                                   "head_refit: true", "token_weight: inverse_norm"}) {
    EXPECT_THAT([&] { Method("{use: condense, inputs: dense, " + option + "}"); },
                ThrowsMessage<ConfigError>(HasSubstr("needs inputs: compressed")));
  }
  TinyModel tied(kOpt);
  EXPECT_THAT([&] { CompressTo(tied, "{use: condense, head_refit: true}"); },
              ThrowsMessage<ConfigError>(HasSubstr("shares the embedding's matrix")));
}

TEST(CondenseOptions, ThatDoNotMatterToModulesAloneShareTheirTrials) {
  const auto key = [](const std::string& options) {
    return Method("{use: condense" + options + "}")->trials()->TrialKey();
  };
  for (const std::string same : {", alpha: 0", ", target: own", ", drift: 0", ", inputs: dense",
                                 ", mlp_steps: 0", ", attention_steps: 0", ", mlp_stride: 3",
                                 ", token_weight: inverse_norm", ", rounding: floor"}) {
    EXPECT_EQ(key(same), key("")) << same;
  }
  for (const std::string other :
       {", gains: false", ", value: attended", ", mlp: leverage", ", lambda: 0.01",
        ", query_key: scores", ", head_budget: equal", ", modules: {mlp: false}"}) {
    EXPECT_NE(key(other), key("")) << other;
  }
}

TEST(CondenseOptions, HeadRefitMovesTheHeadAlone) {
  TinyModel tiny(kGrouped);
  const Compressed plain = CompressTo(tiny, "condense"),
                   moved = CompressTo(tiny, "{use: condense, head_refit: true}");
  for (int64_t l = 0; l < 3; ++l) {
    EXPECT_TRUE(SameTensors(plain.model->LoadBlock(l), moved.model->LoadBlock(l)));
  }
  EXPECT_TRUE(at::equal(plain.model->head().norm.weight, moved.model->head().norm.weight));
  EXPECT_FALSE(at::equal(plain.model->head().linear.weight, moved.model->head().linear.weight));
  const Tensor ids = at::tensor(at::ArrayRef<int32_t>(tiny.calibration.sequences[0]),
                                at::TensorOptions().dtype(kI32));
  const Tensor input = ids.to(kI64).unsqueeze(0), dense = tiny.model->Logits(input);
  EXPECT_LT((moved.model->Logits(input) - dense).square().sum().item<double>(),
            (plain.model->Logits(input) - dense).square().sum().item<double>());
}

}  // namespace
}  // namespace condense
