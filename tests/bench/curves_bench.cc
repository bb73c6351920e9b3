// What measuring curves is made of, at LLaMA-2-7B's shape: the streams of the trials of one layer on
// their way through a block, and loading the block, for which bandwidth is the bound.
#include <algorithm>

#include "bench/roofline.h"
#include "compression/allocators/trial_states.h"
#include "support/temp_folder.h"
#include "support/tiny_folder.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

TinyModelOptions LlamaShape(DType dtype) {
  return {.layers = 1,
          .heads = 32,
          .kv_heads = 32,
          .head_dim = 128,
          .intermediate = 11008,
          .vocab = 64,
          .dtype = dtype};
}

// 12 trials on 2 sequences of 512 tokens. Argument: bytes of streams that stay in memory.
void TrialStreams(benchmark::State& state) {
  constexpr int64_t kTrials = 12, kSequences = 2, kTokens = 512;
  const InferenceScope inference;
  const auto model = MakeTinyModel(LlamaShape(kF32));
  const int64_t d = model->config().hidden_size, m = model->config().intermediate_size;
  TrialStates states(static_cast<uint64_t>(state.range(0)));
  std::vector<int64_t> trials(kTrials);
  states.Add(trials, {at::randn({kTrials * kSequences, kTokens, d})});
  const Block block = model->LoadBlock(0);
  const double flops = 2.0 * kTrials * kSequences * kTokens *
                       static_cast<double>(4 * d * d + 3 * d * m + d * kTokens);
  RunAgainstPeak(state, {kF32, flops, 0.75}, [&] { states.Advance(block); });
}
BENCHMARK(TrialStreams)
    ->Name("Curves/trial streams through a block")
    ->Arg(int64_t{1} << 30)
    ->Arg(0)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Bytes that a copy reads and writes in a second.
double CopyBandwidth() {
  constexpr int64_t kBytes = int64_t{1} << 28;
  const Tensor from = at::ones({kBytes / 4}), to = at::empty({kBytes / 4});
  double best = 1e30;
  for (int repetition = 0; repetition < 5; ++repetition) {
    const Stopwatch watch;
    to.copy_(from);
    best = std::min(best, watch.Seconds());
  }
  return 2.0 * kBytes / best;
}

// A block in bfloat16 in a file, which is in the page cache, to float32: read, checked, converted.
void LoadingABlock(benchmark::State& state) {
  const TempFolder folder;
  const auto small = MakeTinyModel(LlamaShape(kBF16));
  WriteTinyFolder(*small, folder.path());
  const auto model = CheckpointModel::Open(folder.path(), {.dtype = kF32});
  Block block = model->LoadBlock(0);
  double numbers = 0;
  block.ForEachTensor([&](const std::string&, const Tensor& x) {
    if (x.defined()) numbers += static_cast<double>(x.numel());
  });
  const double bytes = numbers * (2 + 4);  // each is read once and written once
  const double before = CopyBandwidth();
  const Stopwatch watch;
  for (auto _ : state) block = model->LoadBlock(0);
  const double rate = bytes * static_cast<double>(state.iterations()) / watch.Seconds();
  state.counters["GB/s"] = rate / 1e9;
  state.counters["of_copy"] = 2 * rate / (before + CopyBandwidth());
  state.counters["target"] = 0.6;
}
BENCHMARK(LoadingABlock)
    ->Name("Curves/loading a block")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace condense
