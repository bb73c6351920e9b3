// Calibration statistics, and the solves of one head of MoDeGPT. Its MLP is in solver_bench.cc.
#include "bench/roofline.h"
#include "calibration/statistics.h"
#include "compression/solvers/query_key.h"
#include "compression/solvers/value_output.h"

namespace condense {
namespace {

// Of 4096 activations. Arguments: width, rows. Operations of half the matrix: it is symmetric.
void GramOfRows(benchmark::State& state) {
  const InferenceScope inference;
  const int64_t width = state.range(0), rows = state.range(1);
  const Tensor x = at::randn({rows, width}, kF32);
  const auto accumulator = MakeAccumulator(StatKind::kGram, {});
  const double flops = static_cast<double>(rows) * static_cast<double>(width * (width + 1));
  RunAgainstPeak(state, kF64, flops, [&] { accumulator->Add(x.to(kF64)); });
  state.SetItemsProcessed(state.iterations() * rows);
}
BENCHMARK(GramOfRows)
    ->Name("Gram")
    ->ArgsProduct({{192, 512, 2048}, {1024, 4096}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

Tensor RandomGram(int64_t width) {
  const Tensor x = at::randn({2 * width, width}, kF64);
  return at::matmul(x.t(), x);
}

Indices EverySecond(int64_t width) {
  Indices kept;
  for (int64_t i = 0; i < width; i += 2) kept.push_back(i);
  return kept;
}

void GainsOfQueries(benchmark::State& state) {
  const InferenceScope inference;
  const int64_t width = state.range(0);
  const Tensor c_q = RandomGram(width), c_k = RandomGram(width);
  const Indices pairs = EverySecond(width / 2);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        QkScores(c_q.unsqueeze(0), c_k, /*paired=*/true, PairScore::kExact, GroupScore::kRss));
    benchmark::DoNotOptimize(ComplexGain(c_q, c_k, pairs).map);
  }
}
BENCHMARK(GainsOfQueries)->Name("Type II/a head")->Arg(128)->Unit(benchmark::kMillisecond);

void SubspacesOfValues(benchmark::State& state) {
  const InferenceScope inference;
  const int64_t width = state.range(0), out = 4096;
  const Tensor c = RandomGram(width), w = at::randn({width, out}, kF64);
  for (auto _ : state) {
    benchmark::DoNotOptimize(ValueSubspaces(c, {w}, ValueOptions{}).Keep(width / 2).value);
  }
}
BENCHMARK(SubspacesOfValues)->Name("Type III/a head")->Arg(128)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace condense
