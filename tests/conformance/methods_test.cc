// What every registered compression method promises, on tiny models of each kind. A new method is
// picked up by itself.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "compression/compress.h"
#include "config/registry.h"
#include "model/stored/check.h"
#include "model/stored/checkpoint_sink.h"
#include "support/temp_folder.h"
#include "support/tiny_folder.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

// A kind of checkpoint is what its config.json says beside the sizes that all have.
struct Kind {
  const char* name;
  const char* config;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }
const Kind kKinds[] = {
    {"llama", R"({"num_key_value_heads": 4})"},
    {"llama_gqa", "{}"},
    {"opt", R"({"model_type": "opt", "ffn_dim": 48})"},
    // Biases on queries, keys and values, and a tied head. A window may not be shorter than the
    // calibration sequences.
    {"qwen2", R"({"model_type": "qwen2", "tie_word_embeddings": true, "use_sliding_window": true,
                  "sliding_window": 32, "max_window_layers": 1})"},
    {"mistral", R"({"model_type": "mistral", "sliding_window": 32})"},
    {"attention_bias_linear", R"({"attention_bias": true,
                                  "rope_scaling": {"rope_type": "linear", "factor": 4}})"},
    {"mlp_bias_llama3", R"({"mlp_bias": true,
                            "rope_scaling": {"rope_type": "llama3", "factor": 8,
                                             "low_freq_factor": 1, "high_freq_factor": 4,
                                             "original_max_position_embeddings": 24}})"},
    {"head_dim_yarn", R"({"head_dim": 12,
                          "rope_scaling": {"rope_type": "yarn", "factor": 4,
                                           "original_max_position_embeddings": 16}})"},
    {"dynamic", R"({"rope_scaling": {"rope_type": "dynamic", "factor": 2}})"},
};

nlohmann::json FileOf(const Kind& kind) {
  nlohmann::json file{{"model_type", "llama"},
                      {"hidden_size", 32},
                      {"vocab_size", 61},
                      {"num_attention_heads", 4},
                      {"num_key_value_heads", 2},
                      {"intermediate_size", 48},
                      {"num_hidden_layers", 3},
                      {"max_position_embeddings", 128},
                      {"tie_word_embeddings", false}};
  file.update(nlohmann::json::parse(kind.config));
  if (file.at("model_type") == "opt") file.erase("tie_word_embeddings");
  return file;
}

TinyModelOptions OptionsOf(const Kind& kind) {
  const nlohmann::json file = FileOf(kind);
  TinyModelOptions options;
  options.config = FamilyOf(file, "config.json").Parse(file, "config.json");
  return options;
}

struct Made {
  CompressionResult result;
  std::unique_ptr<CausalLm> model;
};

// Elements of the tensors of a model, shared ones once; index maps are no parameters.
int64_t ElementsOf(const CausalLm& model) {
  std::set<const void*> seen;
  int64_t count = 0;
  const auto add = [&](const Tensor& tensor) {
    if (!tensor.defined() || !tensor.is_floating_point()) return;
    if (seen.insert(tensor.const_data_ptr()).second) count += tensor.numel();
  };
  add(model.embedding().tokens);
  add(model.embedding().positions);
  for (Block block : model.blocks()) {
    block.ForEachTensor([&](const std::string&, Tensor& tensor) { add(tensor); });
  }
  add(model.head().norm.weight);
  add(model.head().norm.bias);
  add(model.head().linear.weight);
  add(model.head().linear.bias);
  return count;
}

class EveryMethod : public testing::TestWithParam<std::tuple<std::string, Kind>> {
 protected:
  EveryMethod()
      : tiny_(OptionsOf(std::get<1>(GetParam()))),
        method_(MakeComponent<Compressor>(std::get<0>(GetParam()))) {
    if (method_->UsesAllocator()) {
      allocator_ = MakeComponent<Allocator>(method_->default_allocator());
    }
  }

  CompressionRequest Request(double ratio) const {
    return {.method = *method_, .allocator = allocator_.object.get(), .ratio = ratio, .seed = 9};
  }
  Made Run(double ratio, StatisticsStore& statistics) const {
    CausalLmBuilder builder("made");
    Made made;
    made.result = Compress(Request(ratio), statistics, statistics, builder);
    made.model = builder.Take();
    return made;
  }
  Tensor Ids() const { return TinyIds(OptionsOf(std::get<1>(GetParam()))); }

  TinyModel tiny_;
  Component<Compressor> method_;
  Component<Allocator> allocator_;
  InferenceScope inference_;
};

TEST_P(EveryMethod, AtRatioZeroIsTheIdentity) {
  const Made made = Run(0, tiny_.statistics);
  EXPECT_TRUE(at::equal(made.model->Logits(Ids()), tiny_.model->Logits(Ids())));
  EXPECT_EQ(made.result.parameters.Total(), CountParameters(tiny_.model->config()).Total());
}

TEST_P(EveryMethod, MeetsTheRealRatioToWithinOneStep) {
  if (!method_->UsesRatio()) return;
  constexpr double kRatio = 0.3;
  const Made made = Run(kRatio, tiny_.statistics);
  const double layers = static_cast<double>(tiny_.model->config().num_layers());
  if (method_->match_rule() == MatchRule::kNearest) {
    EXPECT_NEAR(made.result.ratios.block, kRatio, 0.5 / layers);
    return;
  }
  EXPECT_GE(made.result.ratios.block, kRatio - 1e-12);
  EXPECT_LT(made.result.ratios.block, kRatio + 0.15);  // steps are coarse here, but not that coarse
  // The next larger model does not fit.
  const PlanContext context(tiny_.statistics, tiny_.statistics, allocator_.object.get(),
                            method_->trials(), /*seed=*/9);
  const Plan larger = method_->MakePlan(context, made.result.nominal - 2e-9);
  EXPECT_LT(RatiosOf(larger.config).block, kRatio);
}

TEST_P(EveryMethod, RemovesNoLessWhenAskedForMore) {
  if (!method_->UsesRatio()) return;
  const PlanContext context(tiny_.statistics, tiny_.statistics, allocator_.object.get(),
                            method_->trials(), /*seed=*/9);
  int64_t last = std::numeric_limits<int64_t>::max();
  for (int i = 1; i < 40; ++i) {
    const Plan plan = method_->MakePlan(context, 0.02 * i);
    const int64_t count = CountParameters(plan.config).block;
    EXPECT_LE(count, last) << 0.02 * i;
    last = count;
  }
}

TEST_P(EveryMethod, CountsTheTensorsThatItMade) {
  const Made made = Run(0.3, tiny_.statistics);
  CheckShapes(*made.model);
  EXPECT_EQ(made.result.parameters.Total(), ElementsOf(*made.model));
  EXPECT_TRUE(at::isfinite(made.model->Logits(Ids())).all().item<bool>());
}

TEST_P(EveryMethod, ComesBackFromAFolderBitForBit) {
  const TempFolder folder;
  const auto dense =
      WriteTinyFolder(*tiny_.model, folder.path() / "dense", FileOf(std::get<1>(GetParam())));
  StatisticsStore statistics(*tiny_.model, tiny_.calibration, {});
  const Made made = Run(0.3, statistics);
  const auto stored = [&](const char* name) {
    CheckpointSink sink(*dense, folder.path() / name, {});
    Compress(Request(0.3), statistics, statistics, sink);
    return CheckpointModel::Open(folder.path() / name);
  };
  const auto compressed = stored("compressed");
  const auto loaded = CausalLm::Load(*compressed);
  EXPECT_TRUE(at::equal(loaded->Logits(Ids()), made.model->Logits(Ids())));
  EXPECT_EQ(CountParameters(loaded->config()).Total(), made.result.parameters.Total());
  EXPECT_EQ(stored("again")->digest(), compressed->digest());
}

TEST_P(EveryMethod, GivesTheSameModelAgain) {
  TinyModel twin(OptionsOf(std::get<1>(GetParam())));
  const Made one = Run(0.3, tiny_.statistics), again = Run(0.3, tiny_.statistics);
  const Made other = Run(0.3, twin.statistics);
  EXPECT_TRUE(at::equal(one.model->Logits(Ids()), again.model->Logits(Ids())));
  EXPECT_TRUE(at::equal(one.model->Logits(Ids()), other.model->Logits(Ids())));
  EXPECT_EQ(one.result.nominal, other.result.nominal);
}

TEST_P(EveryMethod, DecodesWithACacheAsInOnePass) {  // T70
  const Made made = Run(0.3, tiny_.statistics);
  const Tensor ids = Ids();
  KvCache cache;
  std::vector<Tensor> parts{made.model->Logits(ids.narrow(1, 0, 10), &cache)};
  for (int64_t t = 10; t < ids.size(1); ++t) {
    parts.push_back(made.model->Logits(ids.narrow(1, t, 1), &cache));
  }
  const Tensor whole = made.model->Logits(ids);
  EXPECT_LT((at::cat(parts, 1) - whole).abs().max().item<double>(),
            2e-4 * whole.abs().max().item<double>());
}

TEST_P(EveryMethod, ReportsEveryLayer) {
  if (!method_->UsesRatio()) return;
  const Made made = Run(0.3, tiny_.statistics);
  const CompressionReport& report = made.result.report;
  ASSERT_EQ(report.layers.size(), made.result.config.layers.size());
  for (size_t l = 0; l < report.layers.size(); ++l) {
    EXPECT_EQ(report.layers[l].layer, made.result.config.layers[l].source);
    const bool depth = method_->match_rule() == MatchRule::kNearest;  // blocks stay as they are
    EXPECT_EQ(report.layers[l].modules.empty(), depth);
    for (const auto& [name, module] : report.layers[l].modules) {
      EXPECT_FALSE(module.widths.empty()) << name;
      EXPECT_TRUE(std::is_sorted(module.kept.begin(), module.kept.end())) << name;
      EXPECT_GE(module.seconds, 0) << name;
      EXPECT_TRUE(std::isfinite(module.damping)) << name;
      EXPECT_TRUE(std::isfinite(module.relative_error.value_or(0))) << name;
    }
  }
  EXPECT_EQ(report.allocation.empty(), !method_->UsesAllocator());
  double seconds = 0;
  for (const auto& [phase, use] : made.result.phases) seconds += use.seconds;
  EXPECT_EQ(seconds, made.result.seconds);
  for (const char* phase : {"plan", "solve", "save"})
    EXPECT_EQ(made.result.phases.count(phase), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Conformance, EveryMethod,
    testing::Combine(testing::ValuesIn(Registry<Compressor>::Instance().Names()),
                     testing::ValuesIn(kKinds)),
    [](const auto& info) { return std::get<0>(info.param) + "_" + std::get<1>(info.param).name; });

}  // namespace
}  // namespace condense
