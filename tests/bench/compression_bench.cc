// Calibration statistics, and the solves of one head of MoDeGPT. Its MLP is in solver_bench.cc.
#include "bench/roofline.h"
#include "calibration/statistics.h"
#include "compression/solvers/query_key.h"
#include "compression/solvers/value_output.h"
#include "tensor/gram_sum.h"

namespace condense {
namespace {

// Arguments: width, rows. Operations of half the matrix: it is symmetric.
void GramOfRows(benchmark::State& state, GramMath math) {
  const InferenceScope inference;
  const int64_t width = state.range(0), rows = state.range(1);
  const Tensor x = at::randn({rows, width}, kF32);
  GramSum sum(math);
  const double flops = static_cast<double>(rows) * static_cast<double>(width * (width + 1));
  const bool wide = math == GramMath::kFloat64;
  const Work work{wide ? kF64 : kF32, flops, wide ? 0.75 : 0.60};
  RunAgainstPeak(state, work, [&] { sum.Add(x); });
  state.SetItemsProcessed(state.iterations() * rows);
}
void WidthsAndRows(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({512, 4096})->Args({1536, 4096})->Args({11008, 4096});
  benchmark->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(GramOfRows, float32, GramMath::kFloat32)
    ->Name("Gram in float32 tiles")
    ->Apply(WidthsAndRows);
BENCHMARK_CAPTURE(GramOfRows, float64, GramMath::kFloat64)
    ->Name("Gram in float64")
    ->Apply(WidthsAndRows);

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
