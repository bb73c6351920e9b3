// Claims T31-T37 of methods.md 3.
#include <gtest/gtest.h>

#include "base/error.h"
#include "compression/compress.h"
#include "config/registry.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

Component<Compressor> Method(const std::string& yaml) {
  return MakeComponent<Compressor>(Node::ParseText(yaml, "test.yaml"));
}

double RelativeDifference(const Tensor& a, const Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

struct Sliced {
  CompressionResult result;
  std::unique_ptr<CausalLm> model;
};

// Compresses to an explicit nominal ratio.
Sliced Slice(TinyModel& tiny, const std::string& yaml, double ratio, Match match = Match::kNominal,
             uint64_t seed = 0) {
  const auto method = Method(yaml);
  CausalLmBuilder sink;
  Sliced sliced;
  sliced.result = Compress({.method = *method, .ratio = ratio, .match = match, .seed = seed},
                           tiny.statistics, tiny.statistics, sink);
  sliced.model = sink.Take();
  return sliced;
}

class SliceGptClaims : public testing::TestWithParam<bool> {
 protected:
  TinyModelOptions options_{.opt = GetParam(), .dtype = kF64};
  TinyModel tiny_{options_};
  InferenceScope inference_;
};

TEST_P(SliceGptClaims, FusionAndRotationAtFullWidthPreserveLogits) {
  // A cut of nothing still fuses and rotates: 1e-12 rounds down to the full width.
  const Sliced sliced = Slice(tiny_, "{use: slicegpt, round_to: 1}", 1e-12);
  ASSERT_EQ(sliced.result.config.embedding_width, tiny_.model->config().hidden_size);
  ASSERT_EQ(sliced.result.config.norm, NormKind::kPlainRms);
  const Tensor ids = TinyIds(options_);
  EXPECT_LT(RelativeDifference(sliced.model->Logits(ids), tiny_.model->Logits(ids)), 1e-10);
}

TEST_P(SliceGptClaims, ParametersFollowTheFormula) {
  const ModelConfig& dense = tiny_.model->config();
  const int64_t d = dense.hidden_size, m = dense.intermediate_size, L = dense.num_layers();
  const int64_t V = dense.vocab_size, P = dense.position_rows,
                d_kv = dense.num_kv_heads * dense.head_dim;
  for (const double ratio : {0.25, 0.5}) {
    const auto s = static_cast<int64_t>((1 - ratio) * static_cast<double>(d)) / 8 * 8;
    const int64_t llama =
        L * ((2 * d + 2 * d_kv + 3 * m) * s + 2 * s * s) + (m + s) * (d - s) + V * s + V * d;
    const int64_t opt =
        L * (3 * (d * s + d) + (d * s + s) + (m * s + m) + (m * s + s) + 2 * s * s) +
        (m + 1 + s) * (d - s) + (V + P) * s + V * d + V;
    const Sliced sliced = Slice(tiny_, "slicegpt", ratio);
    EXPECT_EQ(sliced.result.parameters.Total(), GetParam() ? opt : llama);
  }
}

TEST_P(SliceGptClaims, SlicedStreamIsTheProjectionOfTheEmbedding) {
  // Rows of the sliced embedding are rows of E Q_s with orthonormal Q_s: they cannot be longer, and
  // the largest part of their energy survives.
  const Sliced sliced = Slice(tiny_, "slicegpt", 0.25);
  Tensor dense = tiny_.model->embedding().tokens;
  if (GetParam()) dense = dense - dense.mean(1, true);
  const Tensor before = dense.norm(2, {1}), after = sliced.model->embedding().tokens.norm(2, {1});
  EXPECT_TRUE((after <= before * (1 + 1e-12)).all().item<bool>());
  EXPECT_GT((after.square().sum() / before.square().sum()).item<double>(), 0.75);
}

TEST_P(SliceGptClaims, TurningTheKeptAxesChangesRoundingOnly) {
  const std::string yaml = "{use: slicegpt, orientation: random}";
  const Sliced a = Slice(tiny_, yaml, 0.3, Match::kNominal, 1),
               b = Slice(tiny_, yaml, 0.3, Match::kNominal, 2);
  const Tensor ids = TinyIds(options_);
  EXPECT_FALSE(at::allclose(a.model->embedding().tokens, b.model->embedding().tokens));
  EXPECT_LT(RelativeDifference(a.model->Logits(ids), b.model->Logits(ids)), 1e-9);
}

TEST_P(SliceGptClaims, MatchedWidthIsMaximal) {
  for (const Match match : {Match::kBlock, Match::kTotal, Match::kTotalAbs}) {
    const auto method = Method("{use: slicegpt, round_to: 1}");
    const PlanContext context(tiny_.statistics, tiny_.statistics, nullptr, nullptr);
    const auto dense = CountParameters(tiny_.model->config());
    const double ratio = 0.2;
    const auto measure = [&](const ModelConfig& config) {
      const auto count = CountParameters(config);
      return static_cast<double>(match == Match::kBlock ? count.block : count.Total());
    };
    const double target = match == Match::kBlock   ? (1 - ratio) * dense.block
                          : match == Match::kTotal ? (1 - ratio) * dense.Total()
                                                   : dense.Total() - ratio * dense.block;
    const MatchedPlan matched =
        MatchRatio({.method = *method, .ratio = ratio, .match = match}, context);
    EXPECT_LE(measure(matched.plan.config), target);
    const double d = tiny_.model->config().hidden_size;
    const double wider = (static_cast<double>(matched.plan.config.embedding_width) + 1) / d;
    EXPECT_GT(measure(method->MakePlan(context, 1 - wider).config), target);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SliceGptClaims, testing::Bool(),
                         [](const auto& info) { return info.param ? "opt" : "llama"; });

// Published widths and counts (protocols.md 6.3, methods.md 3) from shapes alone.
ModelConfig LargeConfig(int64_t hidden, int64_t intermediate, int64_t layers, int64_t heads,
                        int64_t kv_heads, int64_t vocab, bool opt = false) {
  TinyModelOptions options{.opt = opt,
                           .layers = layers,
                           .heads = heads,
                           .kv_heads = kv_heads,
                           .head_dim = hidden / heads,
                           .intermediate = intermediate,
                           .vocab = vocab};
  ModelConfig config = TinyConfig(options);
  if (opt) config.max_positions = 2048, config.position_rows = 2050;
  return config;
}

// A model of which only the shape is known.
class ShapeOnly final : public ModelSource {
 public:
  explicit ShapeOnly(ModelConfig config) : config_(std::move(config)) {}
  const ModelConfig& config() const override { return config_; }
  Embedding LoadEmbedding() const override { return {}; }
  Block LoadBlock(int64_t) const override { return {}; }
  Head LoadHead() const override { return {}; }
  bool resident() const override { return false; }
  DType dtype() const override { return kF32; }
  Device device() const override { return at::kCPU; }
  const std::string& digest() const override { return digest_; }

 private:
  ModelConfig config_;
  std::string digest_ = "shape";
};

int64_t MatchedWidth(const ModelConfig& config, double ratio, Match match) {
  const ShapeOnly shape(config);
  const CalibrationSet calibration = RandomCalibration({});
  StatisticsStore statistics(shape, calibration, {});
  const PlanContext context(statistics, statistics, nullptr, nullptr);
  const auto method = Method("slicegpt");
  return MatchRatio({.method = *method, .ratio = ratio, .match = match}, context)
      .plan.config.embedding_width;
}

int64_t NominalTotal(const ModelConfig& config, double ratio) {
  const ShapeOnly shape(config);
  const CalibrationSet calibration = RandomCalibration({});
  StatisticsStore statistics(shape, calibration, {});
  const PlanContext context(statistics, statistics, nullptr, nullptr);
  return CountParameters(Method("slicegpt")->MakePlan(context, ratio).config).Total();
}

TEST(SliceGptPublished, ParameterCounts) {
  const ModelConfig llama2 = LargeConfig(4096, 11008, 32, 32, 32, 32000);
  const ModelConfig llama3 = LargeConfig(4096, 14336, 32, 32, 8, 128256);
  const ModelConfig opt125m = LargeConfig(768, 3072, 12, 12, 12, 50272, true);
  EXPECT_EQ(CountParameters(llama2).Total(), 6738415616);
  EXPECT_EQ(CountParameters(llama2).block, 6476005376);
  EXPECT_EQ(CountParameters(llama3).Total(), 8030261248);
  EXPECT_EQ(CountParameters(opt125m).Total(), 125239296);
  EXPECT_EQ(NominalTotal(llama2, 0.25), 5704777728);
  EXPECT_EQ(NominalTotal(llama3, 0.25), 6775635968);
  EXPECT_EQ(NominalTotal(opt125m, 0.20), 147250880);
}

TEST(SliceGptPublished, MatchedWidths) {
  const ModelConfig llama2 = LargeConfig(4096, 11008, 32, 32, 32, 32000);
  const ModelConfig llama3 = LargeConfig(4096, 14336, 32, 32, 8, 128256);
  const std::vector<double> ratios{0.1, 0.2, 0.3, 0.4, 0.5};
  const auto widths = [&](const ModelConfig& config, Match match) {
    std::vector<int64_t> found;
    for (const double ratio : ratios) found.push_back(MatchedWidth(config, ratio, match));
    return found;
  };
  EXPECT_EQ(widths(llama2, Match::kBlock), (std::vector<int64_t>{3248, 2920, 2576, 2232, 1880}));
  EXPECT_EQ(widths(llama2, Match::kTotal), (std::vector<int64_t>{3248, 2912, 2568, 2208, 1848}));
  EXPECT_EQ(widths(llama2, Match::kTotalAbs), (std::vector<int64_t>{3264, 2936, 2608, 2264, 1920}));
  EXPECT_EQ(widths(llama3, Match::kBlock), (std::vector<int64_t>{3272, 2936, 2592, 2248, 1888}));
  EXPECT_EQ(widths(llama3, Match::kTotal), (std::vector<int64_t>{3272, 2912, 2536, 2160, 1768}));
  EXPECT_EQ(widths(llama3, Match::kTotalAbs), (std::vector<int64_t>{3320, 3000, 2680, 2360, 2024}));
}

TEST(SliceGpt, RefusesTooFewCalibrationTokens) {
  TinyModel tiny({.sequences = 1, .length = 8});
  EXPECT_THROW(Slice(tiny, "slicegpt", 0.1), ConfigError);
}

}  // namespace
}  // namespace condense
