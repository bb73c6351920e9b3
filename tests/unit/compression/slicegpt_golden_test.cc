// SliceGPT against its reference program: the same calibration and validation ids, perplexity
// within 2e-4 relative, parameters exactly.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/json.h"
#include "compression/compress.h"
#include "config/registry.h"
#include "data/protocols/windows.h"
#include "data/text/ids_file.h"
#include "model/causal_lm.h"
#include "model/loss.h"
#include "model/stored/checkpoint_model.h"
#include "support/shared_data.h"

namespace condense {
namespace {

// Mean next-token loss over windows, as the reference evaluates.
double MeanLoss(const CausalLm& model, const std::vector<TokenId>& ids, int64_t window) {
  const InferenceScope inference;
  double sum = 0;
  const int64_t windows = static_cast<int64_t>(ids.size()) / window;
  for (int64_t k = 0; k < windows; ++k) {
    const std::span<const TokenId> one[] = {
        std::span(ids).subspan(static_cast<size_t>(k * window), static_cast<size_t>(window))};
    const Tensor batch = StackIds(one, at::kCPU);
    sum += NextTokenNll(model.head(), model.Hidden(batch), batch).mean().item<double>();
  }
  return sum / static_cast<double>(windows);
}

TEST(SliceGpt, EqualsTheReferenceProgram) {
  const auto golden = GoldenFile("slicegpt");
  const auto folder = ModelFolder("llama2-mini");
  const auto tokenizer = LoadTokenizer(folder);
  const auto model = CausalLm::Load(*CheckpointModel::Open(folder));
  const CalibrationSet calibration =
      LoadCalibration({.name = "ids:" + (golden / "llama2-mini_calibration_128x256.bin").string(),
                       .samples = 128,
                       .length = 256,
                       .seed = {}},
                      *tokenizer, DataRoots::Default({}));
  StatisticsStore statistics(*model, calibration, {});
  const auto validation =
      EvaluationFromIds(golden / "llama2-mini_validation.bin", IdsType::kUint16,
                        {.window = 256, .special = SpecialMode::kNone}, *tokenizer);
  const auto method =
      MakeComponent<Compressor>(Node::ParseText("{use: slicegpt, center_embeddings: all}", "test"));
  const auto golden_cells = ReadJson(golden / "llama2-mini.json").at("cells");
  for (const auto& cell : golden_cells) {
    CausalLmBuilder sink;
    const CompressionResult result =
        Compress({.method = *method,
                  .ratio = cell.at("slicing_percent").get<double>() / 100,
                  .match = Match::kNominal},
                 statistics, statistics, sink);
    EXPECT_EQ(result.parameters.Total(), cell.at("params").get<int64_t>());
    const double perplexity = std::exp(MeanLoss(*sink.Take(), validation.ids, 256));
    EXPECT_NEAR(perplexity / cell.at("ppl").get<double>(), 1, 2e-4) << cell.at("slicing_percent");
  }
}

}  // namespace
}  // namespace condense
