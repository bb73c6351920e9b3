// Units, what they cost, how many stay, and the methods that look at no data (T49, T50, T74).
#include "compression/bases/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "unit/compression/pruning_support.h"

namespace condense {
namespace {

using ::testing::ElementsAre;

class Units : public testing::TestWithParam<TinyModelOptions> {};

TEST_P(Units, CostWhatTheirTensorsCount) {
  const ModelConfig dense = TinyConfig(GetParam());
  const int64_t whole = CountParameters(dense).block;
  const auto without = [&](UnitKind kind, int64_t kept) {
    ModelConfig config = dense.Derived();
    if (kind == UnitKind::kQueryHeads) {
      Indices heads(static_cast<size_t>(kept));
      std::iota(heads.begin(), heads.end(), int64_t{0});
      NarrowLayerToQueryHeads(heads, config.layers[1]);
    } else {
      NarrowLayer(kind, dense, kept, config.layers[1]);
    }
    return whole - CountParameters(config).block;
  };
  for (const UnitKind kind :
       {UnitKind::kGroups, UnitKind::kQueryKey, UnitKind::kValueOutput, UnitKind::kMlp}) {
    EXPECT_EQ(without(kind, UnitCount(kind, dense) - 1), UnitCost(kind, dense))
        << UnitKindName(kind);
    EXPECT_EQ(UnitCost(kind, dense) * UnitCount(kind, dense), TotalCost(kind, dense));
  }
  const int64_t all = TotalCost(UnitKind::kQueryHeads, dense);
  for (int64_t kept = 1; kept <= dense.num_heads; ++kept) {
    Indices heads(static_cast<size_t>(kept));
    std::iota(heads.begin(), heads.end(), int64_t{0});
    EXPECT_EQ(without(UnitKind::kQueryHeads, kept), all - QueryHeadsCost(heads, dense)) << kept;
  }
}

TEST_P(Units, ThatStayKeepTheirWeightsBitForBitWithoutARefit) {
  TinyModel tiny(GetParam());
  for (const char* method : {"magnitude", "random", "even", "wanda_structured"}) {
    SCOPED_TRACE(method);
    const Compressed made = Pruned(tiny, method, 0.4);
    const int64_t width = tiny.model->config().head_dim;
    const int64_t group = tiny.model->config().num_heads / tiny.model->config().num_kv_heads;
    for (size_t l = 0; l < 3; ++l) {
      const Block& before = tiny.model->blocks()[l];
      const Block& after = made.model->blocks()[l];
      const Indices channels = KeptOf(made, l, "mlp"), groups = KeptOf(made, l, "attention");
      const Tensor rows = IndexTensor(channels);
      EXPECT_TRUE(at::equal(after.mlp.up.weight, before.mlp.up.weight.index_select(0, rows)));
      EXPECT_TRUE(at::equal(after.mlp.down.weight, before.mlp.down.weight.index_select(1, rows)));
      EXPECT_EQ(after.mlp.down.bias.defined(), before.mlp.down.bias.defined());
      for (size_t i = 0; i < groups.size(); ++i) {
        const auto at = static_cast<int64_t>(i);
        EXPECT_TRUE(at::equal(after.attention.k.weight.narrow(0, at * width, width),
                              before.attention.k.weight.narrow(0, groups[i] * width, width)));
        EXPECT_TRUE(at::equal(
            after.attention.o.weight.narrow(1, at * group * width, group * width),
            before.attention.o.weight.narrow(1, groups[i] * group * width, group * width)));
      }
    }
  }
}

TEST_P(Units, MeetTheRatioToWithinAChannelWhateverTheHeadsCost) {
  TinyModel tiny(GetParam());
  const ModelConfig& dense = tiny.model->config();
  const auto block = static_cast<double>(CountParameters(dense).block);
  for (const char* unit : {"kv_group", "query_head", "qk_vo"}) {
    for (const double ratio : {0.1, 0.2, 0.35, 0.5}) {
      const Compressed made =
          Pruned(tiny, std::string("{use: magnitude, unit: ") + unit + "}", ratio);
      EXPECT_GE(made.result.ratios.block, ratio - 1e-12) << unit;
      EXPECT_LT((made.result.ratios.block - ratio) * block,
                static_cast<double>(UnitCost(UnitKind::kMlp, dense)) + 1)
          << unit << " " << ratio;
    }
  }
}

TEST_P(Units, LoseEveryModuleTheAllocatedShare) {
  TinyModel tiny(GetParam());
  const Compressed made =
      CompressFixed(tiny, "{use: magnitude, unit: qk_vo}", {.mlp = 0.25, .qk = 0.5, .vo = 0.25});
  for (const LayerConfig& layer : made.result.config.layers) {
    EXPECT_EQ(layer.mlp_width, 36);
    EXPECT_EQ(layer.heads.front().qk_width, 4);
    EXPECT_EQ(layer.heads.front().vo_width, 6);
  }
}

TEST_P(Units, SelectedOnesAreThoseOfLargestNorm) {
  TinyModel tiny(GetParam());
  const Compressed made = Pruned(tiny, "magnitude", 0.5);
  const ModelConfig& dense = tiny.model->config();
  const int64_t width = dense.head_dim, group = dense.num_heads / dense.num_kv_heads;
  for (size_t l = 0; l < 3; ++l) {
    const Attention& a = tiny.model->blocks()[l].attention;
    // Every weight and bias of a key/value head and its query heads, added up in plain loops.
    std::vector<double> norms;
    for (int64_t j = 0; j < dense.num_kv_heads; ++j) {
      double norm = 0;
      const auto add = [&](const Tensor& part) {
        norm += part.to(kF64).square().sum().item<double>();
      };
      const auto add_rows = [&](const Linear& linear, int64_t begin, int64_t count) {
        add(linear.weight.narrow(0, begin, count));
        if (linear.bias.defined()) add(linear.bias.narrow(0, begin, count));
      };
      add_rows(a.q, j * group * width, group * width);
      add_rows(a.k, j * width, width);
      add_rows(a.v, j * width, width);
      add(a.o.weight.narrow(1, j * group * width, group * width));
      norms.push_back(norm);
    }
    const Indices& kept = KeptOf(made, l, "attention");
    for (const int64_t in : kept) {
      for (const int64_t out : Complement(kept, dense.num_kv_heads)) {
        EXPECT_GT(norms[static_cast<size_t>(in)], norms[static_cast<size_t>(out)]);
      }
    }
  }
}

TEST_P(Units, ARefitOfTheConsumersNeverHurtsOnTheCalibrationSet) {
  TinyModel tiny(Wide(GetParam()));
  const auto error = [&](const std::string& refit) {
    const Compressed made =
        Pruned(tiny, "{use: even, refit: " + refit + ", refit_bias: intercept}", 0.4);
    std::vector<double> errors;
    for (const LayerReport& layer : made.result.report.layers) {
      for (const char* module : {"attention", "mlp"}) {
        const auto& report = layer.modules.at(module);
        errors.push_back(report.relative_error.value_or(0));
      }
    }
    return errors;
  };
  const auto delta = error("delta"), min_norm = error("min_norm");
  // The error of doing nothing, which is not measured without a Gram matrix.
  const Compressed plain = Pruned(tiny, "{use: even}", 0.4);
  EXPECT_FALSE(plain.result.report.layers[0].modules.at("mlp").relative_error.has_value());
  for (size_t i = 0; i < delta.size(); ++i) {
    EXPECT_LT(delta[i], 1);
    EXPECT_NEAR(delta[i], min_norm[i], 1e-6);
  }
}

TEST_P(Units, ARefitOfHeadsIsLeastSquaresOverAllOfThem) {
  TinyModel tiny(Wide(GetParam()));
  const Compressed made = Pruned(tiny, "{use: even, refit: delta, refit_bias: intercept}", 0.4);
  const ModelConfig& dense = tiny.model->config();
  const int64_t size = dense.head_dim * (dense.num_heads / dense.num_kv_heads);
  bool seen = false;
  for (size_t l = 0; l < 3; ++l) {
    const Indices& kept = KeptOf(made, l, "attention");
    if (static_cast<int64_t>(kept.size()) == dense.num_kv_heads) continue;
    seen = true;
    const Tensor z = ActivationsAt(*tiny.model, tiny.calibration, l, Tap::kValueMix);
    std::vector<Tensor> parts;
    for (const int64_t j : kept) parts.push_back(z.narrow(1, j * size, size));
    parts.push_back(at::ones({z.size(0), 1}, kF64));
    const Linear& o = tiny.model->blocks()[l].attention.o;
    const Tensor target = at::matmul(z, o.weight.t());
    const Tensor a = at::cat(parts, 1);
    const auto [q, r] = at::linalg_qr(a);
    const Tensor best = at::linalg_solve_triangular(r, at::matmul(q.t(), target), /*upper=*/true);
    const Linear& made_o = made.model->blocks()[l].attention.o;
    Tensor intercept = made_o.bias;
    if (o.bias.defined()) intercept = intercept - o.bias;
    EXPECT_LT((made_o.weight.t() - best.narrow(0, 0, a.size(1) - 1)).abs().max().item<double>(),
              1e-7);
    EXPECT_LT((intercept - best[a.size(1) - 1]).abs().max().item<double>(), 1e-7);
  }
  EXPECT_TRUE(seen);
}

TEST_P(Units, QueryHeadsKeepTheirKeysWhileOneOfThemStays) {
  TinyModel tiny(GetParam());
  const ModelConfig& dense = tiny.model->config();
  for (const char* method :
       {"magnitude", "random", "even", "flap", "obc", "{use: wanda_structured, refresh: none}"}) {
    Node node = Node::ParseText(method, "test");
    if (!node.IsMap()) node = Node::ParseText(std::string("{use: ") + method + "}", "test");
    node.Set("unit", Node::String("query_head", {}));
    SCOPED_TRACE(method);
    const auto made_of = [&] {
      const auto component = MakeComponent<Compressor>(node);
      Component<Allocator> allocator;
      if (component->UsesAllocator()) {
        allocator = MakeComponent<Allocator>(component->default_allocator());
      }
      CausalLmBuilder builder("pruned");
      Compressed made;
      made.result = Compress(
          {.method = *component, .allocator = allocator.object.get(), .ratio = 0.4, .seed = 3},
          tiny.statistics, tiny.statistics, builder);
      made.model = builder.Take();
      return made;
    };
    const Compressed made = made_of();
    EXPECT_GE(made.result.ratios.block, 0.4 - 1e-12);
    EXPECT_LT(made.result.ratios.block, 0.4 + 0.07);
    for (size_t l = 0; l < 3; ++l) {
      const Indices& kept = KeptOf(made, l, "attention");
      std::set<int64_t> groups;
      for (const int64_t head : kept) groups.insert(head / (dense.num_heads / dense.num_kv_heads));
      EXPECT_EQ(made.result.config.layers[l].heads.size(), groups.size());
      EXPECT_EQ(made.result.config.layers[l].OutputWidth(),
                static_cast<int64_t>(kept.size()) * dense.head_dim);
    }
  }
}

TEST_P(Units, PooledRemovalMovesTheBudgetToWhereItHurtsLeast) {
  TinyModel tiny(GetParam());
  for (const char* method : {"magnitude", "wanda_structured", "flap", "obc"}) {
    const std::string yaml = std::string("{use: ") + method + ", allocation: pooled}";
    const Compressed less = Pruned(tiny, yaml, 0.2), more = Pruned(tiny, yaml, 0.5);
    std::set<int64_t> widths;
    for (size_t l = 0; l < 3; ++l) {
      widths.insert(more.result.config.layers[l].mlp_width);
      // One list: what is gone at a small ratio is gone at a larger one.
      EXPECT_LE(more.result.config.layers[l].mlp_width, less.result.config.layers[l].mlp_width);
      EXPECT_GE(more.result.config.layers[l].mlp_width, 1);
      EXPECT_GE(more.result.config.layers[l].heads.size(), 1u);
    }
    EXPECT_GT(widths.size(), 1u) << method;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Units, testing::Values(kLlama, kGrouped, kOpt),
                         [](const auto& info) { return FamilyName(info.param); });

TEST(RandomPruning, DrawsEachLayerAndModuleFromItsOwnStream) {  // T49
  TinyModel tiny(kLlama);
  const Compressed one = Pruned(tiny, "random", 0.4, Match::kBlock, 1);
  const Compressed again = Pruned(tiny, "random", 0.4, Match::kBlock, 1);
  const Compressed other = Pruned(tiny, "random", 0.4, Match::kBlock, 2);
  // Pruning the MLPs alone draws the same channels: no module shifts the numbers of another.
  const Compressed alone =
      Pruned(tiny, "{use: random, modules: {attention: false}}", 0.2, Match::kBlock, 1);
  EXPECT_EQ(KeptOf(one, 1, "mlp"), KeptOf(again, 1, "mlp"));
  EXPECT_NE(KeptOf(one, 1, "mlp"), KeptOf(other, 1, "mlp"));
  EXPECT_NE(KeptOf(one, 1, "mlp"), KeptOf(one, 2, "mlp"));
  for (size_t l = 0; l < 3; ++l) {
    const Indices &a = KeptOf(one, l, "mlp"), &b = KeptOf(alone, l, "mlp");
    const Indices &few = a.size() < b.size() ? a : b, &many = a.size() < b.size() ? b : a;
    EXPECT_TRUE(std::includes(many.begin(), many.end(), few.begin(), few.end()));  // nested in k
  }
}

TEST(EvenPruning, KeepsAscendingUnitsAndAllOfThemWhenNothingGoes) {  // T50
  TinyModel tiny(kLlama);
  const Compressed made = CompressFixed(tiny, "even", {.mlp = 0.5, .qk = 0.5, .vo = 0.5});
  EXPECT_THAT(KeptOf(made, 0, "attention"), ElementsAre(1, 3));
  const Indices& channels = KeptOf(made, 0, "mlp");
  ASSERT_EQ(channels.size(), 24u);
  for (size_t i = 0; i < channels.size(); ++i) {
    EXPECT_EQ(channels[i], static_cast<int64_t>(2 * i + 1));
  }
  const Compressed whole = CompressFixed(tiny, "even", {.mlp = 0, .qk = 0, .vo = 0});
  const InferenceScope inference;
  EXPECT_TRUE(at::equal(whole.model->Logits(TinyIds({})), tiny.model->Logits(TinyIds({}))));
}

TEST(Magnitude, OfTheConsumerIgnoresWhatFeedsIt) {
  TinyModel tiny(kLlama);
  const Compressed made = Pruned(tiny, "{use: magnitude, of: consumer}", 0.4);
  for (size_t l = 0; l < 3; ++l) {
    const Indices& kept = KeptOf(made, l, "mlp");
    const Tensor norms = tiny.model->blocks()[l].mlp.down.weight.to(kF64).square().sum(0);
    EXPECT_EQ(kept, LargestIndices(norms, static_cast<int64_t>(kept.size())));
  }
}

TEST(WandaStructured, ScoresEachBlockOnWhatThePrunedOnesBelowHandIt) {
  TinyModel tiny(kGrouped);
  const Compressed made = Pruned(tiny, "wanda_structured", 0.4);
  const int64_t size = 16;  // rows of W_O of a key/value group
  for (size_t l = 0; l < 3; ++l) {
    // The block as it was, after the pruned ones.
    CausalLmBuilder builder("so far");
    builder.PutEmbedding(tiny.model->embedding());
    ModelConfig config = made.model->config();
    config.layers[l] = tiny.model->config().layers[l];
    for (size_t i = 0; i < 3; ++i) {
      builder.PutBlock(static_cast<int64_t>(i),
                       i == l ? tiny.model->blocks()[i] : made.model->blocks()[i]);
    }
    builder.PutHead(tiny.model->head());
    builder.Finish(config);
    const auto so_far = builder.Take();
    const Block& block = tiny.model->blocks()[l];
    const auto score = [&](Tap tap, const Tensor& stored) {
      const Tensor x = ActivationsAt(*so_far, tiny.calibration, l, tap);
      return stored.to(kF64).abs().mean(0) * x.square().mean(0).sqrt();
    };
    const Indices& channels = KeptOf(made, l, "mlp");
    EXPECT_EQ(channels, LargestIndices(score(Tap::kMlpHidden, block.mlp.down.weight),
                                       static_cast<int64_t>(channels.size())));
    const Indices& groups = KeptOf(made, l, "attention");
    const Tensor heads = score(Tap::kValueMix, block.attention.o.weight).view({-1, size}).sum(1);
    EXPECT_EQ(groups, LargestIndices(heads, static_cast<int64_t>(groups.size())));
  }
}

TEST(WandaStructured, RemovesAsManyUnitsAsThePublicationDoes) {
  TinyModel tiny(kLlama);
  const Compressed made =
      Pruned(tiny, "{use: wanda_structured, rounding: ceil}", 0.3, Match::kNominal);
  for (const LayerConfig& layer : made.result.config.layers) {
    EXPECT_EQ(layer.heads.size(), 3u);    // floor(0.3 x 4) = 1 goes
    EXPECT_EQ(layer.mlp_width, 48 - 14);  // floor(0.3 x 48) = 14 go
  }
}

TEST(UnitOptions, RefuseWhatCannotBe) {
  for (const char* yaml :
       {"{use: wanda_structured, unit: query_head}", "{use: flap, unit: qk_vo}",
        "{use: obc, unit: qk_vo}", "{use: magnitude, unit: qk_vo, allocation: pooled}",
        "{use: even, modules: {mlp: false, attention: false}}"}) {
    EXPECT_THROW(Method(yaml), ConfigError) << yaml;
  }
}

}  // namespace
}  // namespace condense
