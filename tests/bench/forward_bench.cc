// Forward passes: the bundled llama2-mini, and one block in the shape of LLaMA-2-7B. Operations are
// those of the matrix products and of the attention scores (the causal half); all other work of a
// block counts as lost time.
#include <cmath>
#include <memory>

#include "bench/roofline.h"
#include "evaluation/perplexity.h"
#include "model/causal_lm.h"
#include "model/loss.h"
#include "model/stored/checkpoint_model.h"

namespace condense {
namespace {

double BlockFlops(const LayerConfig& layer, int64_t batch, int64_t length, bool gated) {
  const auto d = static_cast<double>(layer.in_width), h = static_cast<double>(layer.mlp_width);
  const auto q = static_cast<double>(layer.QueryWidth()), k = static_cast<double>(layer.KeyWidth());
  const double linears = d * (2 * q + 2 * k) + d * h * (gated ? 3 : 2);
  const double scores = q * static_cast<double>(length);  // two products, half of them masked
  return 2 * static_cast<double>(batch * length) * (linears + scores);
}

const CausalLm& Mini() {
  static const std::unique_ptr<CausalLm> model = CausalLm::Load(*CheckpointModel::Open(
      std::string(CONDENSE_SOURCE_DIR) + "/configs/bundled/models/llama2-mini"));
  return *model;
}

// Arguments: sequences, tokens in each.
void Hidden(benchmark::State& state) {
  const InferenceScope inference;
  const CausalLm& model = Mini();
  const int64_t batch = state.range(0), length = state.range(1);
  const Tensor ids = at::randint(model.config().vocab_size, {batch, length}, kI64);
  double flops = 0;
  for (const LayerConfig& layer : model.config().layers) {
    flops += BlockFlops(layer, batch, length, model.config().gated_mlp);
  }
  RunAgainstPeak(state, {kF32, flops}, [&] { benchmark::DoNotOptimize(model.Hidden(ids)); });
  state.SetItemsProcessed(state.iterations() * batch * length);
}
BENCHMARK(Hidden)
    ->Name("Forward/llama2-mini")
    ->ArgsProduct({{1, 2, 4, 8, 16}, {256}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// The head's product and the loss of every position.
void Loss(benchmark::State& state) {
  const InferenceScope inference;
  const CausalLm& model = Mini();
  const int64_t batch = state.range(0), length = 256;
  const Tensor ids = at::randint(model.config().vocab_size, {batch, length}, kI64);
  const Tensor hidden = model.Hidden(ids);
  const double flops = 2.0 * static_cast<double>(batch * (length - 1) * model.config().vocab_size *
                                                 model.config().hidden_size);
  RunAgainstPeak(state, {kF32, flops},
                 [&] { benchmark::DoNotOptimize(NextTokenNll(model.head(), hidden, ids)); });
  state.SetItemsProcessed(state.iterations() * batch * length);
}
BENCHMARK(Loss)->Name("Loss/llama2-mini")->Arg(8)->UseRealTime()->Unit(benchmark::kMillisecond);

void Perplexity(benchmark::State& state) {
  const CausalLm& model = Mini();
  constexpr int64_t kWindows = 32, kWindow = 256;
  EvaluationText text;
  text.source = "random ids";
  const Tensor ids = at::randint(model.config().vocab_size, {kWindows * kWindow}, kI32);
  text.ids.assign(ids.const_data_ptr<int32_t>(), ids.const_data_ptr<int32_t>() + ids.numel());
  text.window = kWindow;
  text.windows = kWindows;
  double flops = 2.0 * kWindows * kWindow *
                 static_cast<double>(model.config().vocab_size * model.config().hidden_size);
  for (const LayerConfig& layer : model.config().layers) {
    flops += BlockFlops(layer, kWindows, kWindow, model.config().gated_mlp);
  }
  RunAgainstPeak(state, {kF32, flops},
                 [&] { benchmark::DoNotOptimize(EvaluatePerplexity(model, text)); });
  state.SetItemsProcessed(state.iterations() * kWindows * kWindow);
}
BENCHMARK(Perplexity)->Name("Perplexity/llama2-mini")->UseRealTime()->Unit(benchmark::kMillisecond);

Block LargeBlock() {
  constexpr int64_t kWidth = 4096, kHeads = 32, kHidden = 11008;
  const auto linear = [](int64_t out, int64_t in) {
    return Linear{.weight = at::randn({out, in}, kF32) / std::sqrt(static_cast<double>(in))};
  };
  Block block;
  block.norm1.weight = block.norm2.weight = at::ones({kWidth}, kF32);
  block.attention.heads.assign(
      kHeads, {.queries = 1, .qk_width = kWidth / kHeads, .vo_width = kWidth / kHeads});
  block.attention.scale = 1 / std::sqrt(static_cast<double>(kWidth / kHeads));
  block.attention.rope_frequencies = RopeFrequencies(RopeConfig{}, kWidth / kHeads);
  for (Linear* map :
       {&block.attention.q, &block.attention.k, &block.attention.v, &block.attention.o}) {
    *map = linear(kWidth, kWidth);
  }
  block.mlp.gate = linear(kHidden, kWidth);
  block.mlp.up = linear(kHidden, kWidth);
  block.mlp.down = linear(kWidth, kHidden);
  return block;
}

// Arguments: sequences, tokens in each.
void OneLargeBlock(benchmark::State& state) {
  const InferenceScope inference;
  static const Block block = LargeBlock();
  const int64_t batch = state.range(0), length = state.range(1), width = block.attention.q.in();
  const Tensor x = at::randn({batch, length, width}, kF32);
  const double flops = BlockFlops(ShapeOf(block), batch, length, /*gated=*/true);
  RunAgainstPeak(state, {kF32, flops, 0.75}, [&] { benchmark::DoNotOptimize(block.Forward(x)); });
  state.SetItemsProcessed(state.iterations() * batch * length);
}
BENCHMARK(OneLargeBlock)
    ->Name("Forward/block of 7B")
    ->Args({1, 256})
    ->Args({1, 1024})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace condense
