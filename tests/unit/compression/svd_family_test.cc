// svd, asvd and svd_llm as methods: ranks and counts (T58, T59), and each method against a few
// lines on explicit activations that know nothing of Gram matrices or whitening.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "compression/bases/low_rank_method.h"
#include "model/stored/checkpoint_sink.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "unit/compression/compressed_models.h"
#include "unit/compression/recorded_inputs.h"

namespace condense {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const std::string kMethods[] = {"svd", "asvd", "svd_llm", "{use: svd_llm, update: true}"};

Tensor ProductOf(const Linear& linear) { return linear.Product().t().to(kF64); }  // [in, out]

// The best rank-k approximation of a matrix.
Tensor Truncated(const Tensor& y, int64_t rank) {
  const auto [u, s, vh] = at::linalg_svd(y, false);
  return at::matmul(u.narrow(1, 0, rank) * s.narrow(0, 0, rank), vh.narrow(0, 0, rank));
}

class SvdFamily : public testing::TestWithParam<TinyModelOptions> {
 protected:
  TinyModel tiny_{Wide(GetParam())};
  InferenceScope inference_;

  // Calls fn(layer, role, report) for every map that was factored.
  template <class Function>
  void ForEachFactored(const Compressed& compressed, Function fn) {
    int64_t visited = 0;
    for (const LayerReport& layer : compressed.result.report.layers) {
      for (const auto& [name, report] : layer.modules) {
        fn(layer.layer, RoleNamed(name).value(), report), ++visited;
      }
    }
    const auto roles = static_cast<int64_t>(LinearRoles(tiny_.model->config()).size());
    EXPECT_EQ(visited, 3 * roles);
  }
};

TEST_P(SvdFamily, MeetsTheRatioCountsItsFactorsAndRepeats) {
  for (const std::string& method : kMethods) {
    SCOPED_TRACE(method);
    const Compressed one = CompressTo(tiny_, method), two = CompressTo(tiny_, method);
    EXPECT_GE(one.result.ratios.block, 0.3 - 1e-12);
    EXPECT_LT(one.result.ratios.block, 0.4);
    int64_t stored = 0;
    for (Block block : one.model->blocks()) {
      for (const Role role : LinearRoles(tiny_.model->config())) {
        const Linear& linear = block.LinearOf(role);
        EXPECT_TRUE(linear.factored()) << RoleName(role);
        EXPECT_EQ(linear.bias.defined(), GetParam().opt) << RoleName(role);
        stored += linear.a.numel() + linear.b.numel();
      }
      const auto layer = static_cast<size_t>(block.source);
      EXPECT_EQ(ShapeOf(block), one.result.config.layers[layer]);
    }
    EXPECT_EQ(stored, one.result.parameters.block);
    EXPECT_TRUE(at::equal(one.model->Logits(TinyIds({})), two.model->Logits(TinyIds({}))));
  }
}

TEST_P(SvdFamily, CopiesAtRatioZeroAndWhatAnAllocatorLeaves) {  // T58
  for (const std::string& method : kMethods) {
    SCOPED_TRACE(method);
    const Compressed same = CompressTo(tiny_, method, 0);
    const Compressed mlp = CompressFixed(tiny_, method, {.mlp = 0.5});
    const Compressed qk = CompressFixed(tiny_, method, {.qk = 0.5});
    for (int64_t l = 0; l < 3; ++l) {
      const Block dense = tiny_.model->LoadBlock(l);
      for (const Role role : LinearRoles(tiny_.model->config())) {
        const auto copied = [&](const Compressed& compressed) {
          const Block block = compressed.model->LoadBlock(l);
          const Linear& linear = block.LinearOf(role);
          return !linear.factored() && at::equal(linear.weight, dense.LinearOf(role).weight);
        };
        EXPECT_TRUE(copied(same)) << RoleName(role);
        EXPECT_EQ(copied(mlp), ModuleOf(role) != Module::kMlp) << RoleName(role);
        EXPECT_EQ(copied(qk), ModuleOf(role) != Module::kQk) << RoleName(role);
      }
    }
  }
}

TEST_P(SvdFamily, FactoredMapsComputeTheirProduct) {
  const Compressed compressed = CompressTo(tiny_, "svd_llm");
  CausalLmBuilder builder;
  builder.PutEmbedding(compressed.model->embedding());
  for (Block block : compressed.model->blocks()) {
    for (const Role role : LinearRoles(tiny_.model->config())) {
      Linear& linear = block.LinearOf(role);
      linear.weight = linear.Product();
      linear.a = linear.b = Tensor();
    }
    builder.PutBlock(block.source, block);
  }
  builder.PutHead(compressed.model->head());
  builder.Finish(tiny_.model->config());
  const Tensor dense = builder.Take()->Logits(TinyIds({}));
  EXPECT_LT((dense - compressed.model->Logits(TinyIds({}))).abs().max().item<double>(), 1e-10);
}

// --- Cross-checks on explicit activations --------------------------------------------------------

TEST_P(SvdFamily, SvdLlmIsTheBestApproximationOfTheOutputs) {
  const Compressed compressed = CompressTo(tiny_, "svd_llm");
  ForEachFactored(compressed, [&](int64_t l, Role role, const ModuleReport& report) {
    SCOPED_TRACE(fmt::format("layer {} {}", l, RoleName(role)));
    const Tensor x = RecordInputs(tiny_, *tiny_.model, l).InputsOf(role);
    const Tensor y = at::matmul(x, ProductOf(tiny_.model->LoadBlock(l).LinearOf(role)));
    const Tensor made = at::matmul(x, ProductOf(compressed.model->LoadBlock(l).LinearOf(role)));
    const double norm = PlainSquaredNorm(y);
    const Tensor best = Truncated(y, report.widths.front());
    EXPECT_LT(PlainSquaredNorm(made - best), 1e-18 * norm);
    EXPECT_NEAR(*report.relative_error, std::sqrt(PlainSquaredNorm(y - made) / norm), 1e-9);
    EXPECT_EQ(report.damping, 0);
    EXPECT_GT(*report.condition, 1);
  });
}

TEST_P(SvdFamily, AsvdTruncatesInTheScaleOfMeanMagnitudes) {
  const Compressed compressed = CompressTo(tiny_, "asvd");
  ForEachFactored(compressed, [&](int64_t l, Role role, const ModuleReport& report) {
    SCOPED_TRACE(fmt::format("layer {} {}", l, RoleName(role)));
    const Tensor x = RecordInputs(tiny_, *tiny_.model, l).InputsOf(role);
    const Tensor w = ProductOf(tiny_.model->LoadBlock(l).LinearOf(role));
    const Tensor scale = x.abs().mean(0).sqrt().unsqueeze(1);
    const Tensor expected = Truncated(scale * w, report.widths.front()) / scale;
    const Tensor made = ProductOf(compressed.model->LoadBlock(l).LinearOf(role));
    EXPECT_LT(PlainSquaredNorm(made - expected), 1e-18 * PlainSquaredNorm(w));
  });
}

TEST_P(SvdFamily, SvdTruncatesTheWeights) {
  const Compressed svd = CompressTo(tiny_, "svd"),
                   flat = CompressTo(tiny_, "{use: asvd, alpha: 0}");
  ForEachFactored(svd, [&](int64_t l, Role role, const ModuleReport& report) {
    SCOPED_TRACE(fmt::format("layer {} {}", l, RoleName(role)));
    const Tensor w = ProductOf(tiny_.model->LoadBlock(l).LinearOf(role));
    const Tensor made = ProductOf(svd.model->LoadBlock(l).LinearOf(role));
    const Tensor same = ProductOf(flat.model->LoadBlock(l).LinearOf(role));
    EXPECT_LT(PlainSquaredNorm(made - Truncated(w, report.widths.front())), 1e-22);
    EXPECT_LT(PlainSquaredNorm(made - same), 1e-22);
    EXPECT_NEAR(*report.relative_error, std::sqrt(PlainSquaredNorm(w - made) / PlainSquaredNorm(w)),
                1e-9);
  });
}

TEST_P(SvdFamily, UpdateIsLeastSquaresOnTheInputsOfTheCompressedPrefix) {
  const Compressed first = CompressTo(tiny_, "svd_llm"),
                   second = CompressTo(tiny_, "{use: svd_llm, update: true}");
  ForEachFactored(second, [&](int64_t l, Role role, const ModuleReport& report) {
    SCOPED_TRACE(fmt::format("layer {} {}", l, RoleName(role)));
    const Linear before = first.model->LoadBlock(l).LinearOf(role),
                 after = second.model->LoadBlock(l).LinearOf(role);
    EXPECT_TRUE(at::equal(before.a, after.a));
    const Tensor x = RecordInputs(tiny_, *second.model, l).InputsOf(role);
    const Tensor y = at::matmul(x, ProductOf(tiny_.model->LoadBlock(l).LinearOf(role)));
    const auto error = [&](const Linear& linear) {
      return std::sqrt(PlainSquaredNorm(y - at::matmul(x, ProductOf(linear))) /
                       PlainSquaredNorm(y));
    };
    EXPECT_NEAR(*report.relative_error, error(after), 1e-8);
    // The first block sees what it was made for: nothing is left to gain there.
    if (l == 0) {
      EXPECT_NEAR(error(after), error(before), 1e-9);
    } else {
      EXPECT_LT(error(after), error(before) - 1e-6);
    }
    // Orthogonal to all that the first factor can reach.
    const Tensor reach = at::matmul(x, after.a.t());
    const Tensor rest = y - at::matmul(x, ProductOf(after));
    EXPECT_LT(PlainSquaredNorm(at::matmul(reach.t(), rest)),
              1e-16 * PlainSquaredNorm(reach) * PlainSquaredNorm(y));
  });
}

INSTANTIATE_TEST_SUITE_P(Models, SvdFamily, testing::Values(kLlama, kGrouped, kOpt),
                         [](const auto& info) { return FamilyName(info.param); });

// --- Ranks and counts ----------------------------------------------------------------------------

std::optional<int64_t> KeptRank(const MatrixShape& shape, double kept, int64_t multiple = 1) {
  return KeptRanks(shape, {kept}, {.rank_multiple = multiple}).front();
}

TEST(KeptRanks, StayBelowTheTargetByLessThanOneRank) {  // T59
  for (const MatrixShape& shape : {MatrixShape{192, 192}, {512, 192}, {96, 192}, {32, 48}}) {
    const auto whole = static_cast<double>(shape.out * shape.in);
    const auto one = static_cast<double>(shape.out + shape.in);
    for (double kept = 0.1; kept < 1; kept += 0.007) {
      const double count = static_cast<double>(*KeptRank(shape, kept)) * one;
      EXPECT_LE(count, kept * whole * (1 + 1e-9));
      EXPECT_GT(count, kept * whole - one);
      // With what is left over carried on, the same holds of all layers together.
      double target = 0, sum = 0;
      std::vector<double> fractions;
      for (int l = 0; l < 20; ++l) fractions.push_back(kept * (1 - 0.01 * (l % 3)));
      for (const double fraction : fractions) target += fraction * whole;
      for (const auto& rank : KeptRanks(shape, fractions, {})) {
        sum += static_cast<double>(*rank) * one;
      }
      EXPECT_LE(sum, target * (1 + 1e-9));
      EXPECT_GT(sum, target - one * (kept > 0.95 ? 20 : 1));  // close to 1 the break-even binds
    }
  }
}

TEST(KeptRanks, PublishedValuesOfLlama7B) {
  EXPECT_EQ(KeptRank({4096, 4096}, 0.8), 1638);
  EXPECT_EQ(KeptRank({11008, 4096}, 0.8), 2388);
  EXPECT_EQ(KeptRank({4096, 4096}, 0.8, 128), 1536);
  const std::vector<double> kept(32, 0.8);
  for (const auto& rank : KeptRanks({4096, 4096}, kept, {.rounding = RankRounding::kFloor})) {
    EXPECT_EQ(rank, 1638);
  }
}

TEST(KeptRanks, CopyWhereAllIsKept) {
  EXPECT_EQ(KeptRank({192, 192}, 1), std::nullopt);
  EXPECT_EQ(KeptRank({192, 192}, 1 - 1e-13), std::nullopt);
  EXPECT_EQ(KeptRank({192, 192}, 0.9999), 95);
  EXPECT_EQ(KeptRank({192, 192}, 0), 1);
}

TEST(SvdFamily, ARatioIsMetToWithinOneRankOfEachMap) {  // T59
  TinyModel tiny(kGrouped);
  const auto uniform = MakeComponent<Allocator>("uniform");
  const auto method = Method("svd");
  for (const double ratio : {0.1, 0.25, 0.5}) {
    for (const Match match : {Match::kNominal, Match::kBlock}) {
      CausalLmBuilder builder;
      const CompressionResult result = Compress(
          {.method = *method, .allocator = uniform.object.get(), .ratio = ratio, .match = match},
          tiny.statistics, tiny.statistics, builder);
      const ModelConfig& dense = tiny.model->config();
      double ranks = 0;  // parameters of one rank of every map
      for (const Role role : LinearRoles(dense)) {
        const MatrixShape shape = LinearShape(dense.layers[0], role);
        ranks += 3 * static_cast<double>(shape.out + shape.in);
      }
      const double target = (1 - ratio) * static_cast<double>(CountParameters(dense).block);
      EXPECT_LE(static_cast<double>(result.parameters.block), target * (1 + 1e-9));
      EXPECT_GT(static_cast<double>(result.parameters.block), target - ranks);
    }
  }
}

TEST(SvdFamily, RanksAreMultiplesWhereAsked) {
  TinyModel tiny(kLlama);
  for (const LayerConfig& layer :
       CompressTo(tiny, "{use: svd, rank_multiple: 4}").result.config.layers) {
    for (const Role role : kRoles) {
      EXPECT_EQ(layer.linears[role].rank.value_or(0) % 4, 0) << RoleName(role);
    }
  }
  EXPECT_THAT([&] { CompressTo(tiny, "{use: svd, rank_multiple: 16}"); },
              ThrowsMessage<ConfigError>(HasSubstr("rank_multiple is 16")));
}

TEST(SvdFamily, SharesRanksOutAsAnAllocatorSays) {
  TinyModel tiny(kGrouped);
  const auto allocator = MakeComponent<Allocator>(
      Node::ParseText("{use: block_influence, epsilon: 0.05, module_weights: {qk: 0.3}}", "test"));
  const Compressed compressed = CompressWith(tiny.statistics, "svd_llm", 0.4, *allocator);
  EXPECT_GE(compressed.result.ratios.block, 0.4 - 1e-12);
  EXPECT_LT(compressed.result.ratios.block, 0.45);
  std::set<int64_t> ranks;
  int64_t queries = 0, outputs = 0;
  for (const LayerConfig& layer : compressed.result.config.layers) {
    ranks.insert(layer.linears[Role::kUp].rank.value());
    queries += layer.linears[Role::kQuery].rank.value();
    outputs += layer.linears[Role::kOutput].rank.value();
  }
  EXPECT_GT(queries, outputs);
  EXPECT_GT(ranks.size(), 1u);
  EXPECT_STREQ(Method("svd_llm")->default_allocator(), "uniform");
}

TEST(SvdFamily, WeightsAloneNeedNoTokens) {
  TinyModel tiny({.sequences = 1, .length = 1});
  EXPECT_GE(CompressTo(tiny, "svd").result.ratios.block, 0.3);
  EXPECT_EQ(tiny.statistics.seconds(), 0);
}

// --- Checkpoints ---------------------------------------------------------------------------------

TEST(SvdFamily, FactoredModelsSurviveAFolderBitForBit) {
  for (const std::string name : {"llama2-mini", "llama3-mini", "opt-mini"}) {
    SCOPED_TRACE(name);
    const auto source = CheckpointModel::Open(SourceFolder() / "configs/bundled/models" / name);
    const auto model = CausalLm::Load(*source);
    CalibrationSet set = RandomCalibration({.vocab = model->config().vocab_size, .sequences = 28});
    StatisticsStore statistics(*model, set, {});
    const auto uniform = MakeComponent<Allocator>("uniform");
    const auto method = Method("svd_llm");
    const CompressionRequest request{
        .method = *method, .allocator = uniform.object.get(), .ratio = 0.4};
    CausalLmBuilder builder;
    const CompressionResult result = Compress(request, statistics, statistics, builder);
    const auto made = builder.Take();
    const TempFolder folder;
    CheckpointSink sink(*source, folder.path() / "compressed", {});
    sink.PutEmbedding(made->embedding());
    for (int64_t l = 0; l < result.config.num_layers(); ++l) sink.PutBlock(l, made->LoadBlock(l));
    sink.PutHead(made->head());
    sink.Finish(result.config);
    const auto loaded = CausalLm::Load(*CheckpointModel::Open(folder.path() / "compressed"));
    EXPECT_EQ(loaded->config().layers, result.config.layers);
    EXPECT_EQ(CountParameters(loaded->config()).Total(), result.parameters.Total());
    const Tensor ids = TinyIds({.vocab = model->config().vocab_size});
    EXPECT_TRUE(at::equal(loaded->Logits(ids), made->Logits(ids)));
  }
}

}  // namespace
}  // namespace condense
