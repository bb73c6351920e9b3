// The solves of one layer, against what the machine reaches on matrix products in the same run.
// Arguments: width of the stream and channels of the MLP: half of LLaMA-2-7B's shape, which takes
// seconds. The phases Condense/MLP and Condense/value and output are of the whole shape.
//
// Operations are those of the least that has to be done (docs/cost.md 5): a symmetric matrix is
// updated in one half, and a product that only a report needs is not counted.
#include <numeric>

#include "bench/roofline.h"
#include "compression/solvers/elimination.h"
#include "compression/solvers/pair_elimination.h"
#include "compression/solvers/reduced_rank.h"
#include "compression/solvers/refit.h"

namespace condense {
namespace {

constexpr double kRemoved = 0.3;
constexpr double kRidge = 1e-4;

double Cube(double n) { return n * n * n; }

// Float64, of random activations of full rank.
Tensor RandomGram(int64_t width) {
  const Tensor x = at::randn({width + width / 8, width}, kF32);
  return at::mm(x.t(), x).to(kF64);
}

// An MLP's Gram matrix, its down projection, and the channels that stay.
struct Mlp {
  int64_t channels, kept;
  Tensor c, w;
  double m, d, k;

  explicit Mlp(const benchmark::State& state)
      : channels(state.range(1)),
        kept(static_cast<int64_t>(static_cast<double>(channels) * (1 - kRemoved))),
        c(RandomGram(channels)),
        w(at::randn({channels, state.range(0)}, kF64)),
        m(static_cast<double>(channels)),
        d(static_cast<double>(state.range(0))),
        k(static_cast<double>(kept)) {}

  Indices First(int64_t count) const {
    Indices first(static_cast<size_t>(count));
    std::iota(first.begin(), first.end(), 0);
    return first;
  }
};

void Register(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({2048, 5504})->UseRealTime()->Iterations(1)->Unit(benchmark::kMillisecond);
}

void Leverage(benchmark::State& state) {
  const InferenceScope inference;
  const Mlp mlp(state);
  RunAgainstPeak(state, {kF64, 2 * Cube(mlp.m) / 3, 0.60},
                 [&] { benchmark::DoNotOptimize(RidgeInverseDiagonal(mlp.c, 1).values); });
}
BENCHMARK(Leverage)->Name("Solve/leverage")->Apply(Register);

void DeltaRefit(benchmark::State& state) {
  const InferenceScope inference;
  const Mlp mlp(state);
  const double flops =
      Cube(mlp.k) / 3 + 2 * mlp.k * mlp.k * mlp.d + 2 * mlp.k * (mlp.m - mlp.k) * mlp.d;
  const Indices kept = mlp.First(mlp.kept);
  RunAgainstPeak(state, {kF64, flops, 0.60},
                 [&] { benchmark::DoNotOptimize(RefitDelta(mlp.c, mlp.w, kept, 0).weight); });
}
BENCHMARK(DeltaRefit)->Name("Solve/delta refit")->Apply(Register);

// The inverse, P = W W^T, and the updates of both.
void Eliminate(benchmark::State& state) {
  const InferenceScope inference;
  const Mlp mlp(state);
  const double flops = Cube(mlp.m) + mlp.m * mlp.m * mlp.d + Cube(mlp.m) - Cube(mlp.k);
  RunAgainstPeak(state, {kF64, flops, 0.55}, [&] {
    benchmark::DoNotOptimize(
        EliminateBackward(mlp.c, mlp.w, mlp.channels - mlp.kept, {.relative_damping = kRidge})
            .order.data());
  });
}
BENCHMARK(Eliminate)->Name("Solve/elimination of 30 %")->Apply(Register);

// What a curve of an MLP takes: an elimination down to an eighth, and refits of four widths.
void Trials(benchmark::State& state) {
  const InferenceScope inference;
  const Mlp mlp(state);
  const Regression r{.c = mlp.c, .b = at::mm(mlp.c, mlp.w)};
  const std::vector<double> removed{0.2, 0.4, 0.6, 0.875};
  double flops = 2 * Cube(mlp.m) + mlp.m * mlp.m * mlp.d;
  for (const double part : removed) flops += 4 * mlp.m * mlp.m * (1 - part) * (1 - part) * mlp.d;
  RunAgainstPeak(state, {kF64, flops, 0.50}, [&] {
    const auto count = static_cast<int64_t>(removed.back() * mlp.m);
    Indices order = EliminateBackward(mlp.c, mlp.w, count, {.relative_damping = kRidge}).order;
    for (const double part : removed) {
      Indices gone(order.begin(), order.begin() + static_cast<int64_t>(part * mlp.m));
      std::sort(gone.begin(), gone.end());
      benchmark::DoNotOptimize(
          RefitTowards(r, mlp.w, Complement(gone, mlp.channels), kRidge).weight);
    }
  });
}
BENCHMARK(Trials)->Name("Solve/trials of an MLP")->Apply(Register);

// Subspaces of all heads in two sweeps by groups of a quarter of them, at most eight.
void Values(benchmark::State& state) {
  const InferenceScope inference;
  const int64_t d = state.range(0), h = 128, heads = d / h;
  const Tensor c = RandomGram(d), w = at::randn({d, d}, kF64);
  const Regression r{.c = c, .b = at::mm(c, w) + at::randn({d, d}, kF64)};
  const auto width = static_cast<int64_t>(static_cast<double>(h) * (1 - kRemoved));
  const double together = std::min<double>(8, static_cast<double>(heads) / 4);
  const double groups = 2 * static_cast<double>(heads) / together;
  const auto kept = static_cast<double>(heads * width), columns = together * static_cast<double>(h);
  const double flops =
      groups * (Cube(kept) + 2 * kept * kept * columns) + 2 * Cube(static_cast<double>(d));
  RunAgainstPeak(state, {kF64, flops, 0.50}, [&] {
    const ReducedRank ranks(r, w, std::vector<int64_t>(static_cast<size_t>(heads), 1), {});
    benchmark::DoNotOptimize(
        ranks.Fit(std::vector<int64_t>(static_cast<size_t>(heads), width)).output);
  });
}
BENCHMARK(Values)->Name("Solve/values and output")->Apply(Register);

// All rotary pairs of all heads. Bound by calls, not by operations; what counts is its part of the
// time of a block.
void Pairs(benchmark::State& state) {
  const InferenceScope inference;
  const int64_t heads = state.range(0) / 128;
  const Tensor x = at::randn({heads, 400, 128}, kF64);
  const Tensor metric = at::bmm(x.transpose(1, 2), x);
  const std::vector<int64_t> queries(static_cast<size_t>(heads), 1);
  for (auto _ : state) benchmark::DoNotOptimize(EliminatePairs(metric, queries).data());
}
BENCHMARK(Pairs)
    ->Name("Solve/rotary pairs")
    ->Arg(2048)
    ->Arg(4096)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace condense
