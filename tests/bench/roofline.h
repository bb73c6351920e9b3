// The speed of large matrix products on this machine; other speeds are given as a fraction of it.
#pragma once

#include <benchmark/benchmark.h>

#include <optional>

#include "base/system.h"
#include "tensor/tensor.h"

namespace condense {

// Floating-point operations per second of a product of two large matrices, the best of five, on the
// threads that LibTorch uses; measured anew, because a shared machine changes from minute to minute.
double PeakFlops(DType dtype);

// What a benchmark computes, in what type, and which fraction of the peak docs/cost.md 5 wants.
struct Work {
  DType dtype;
  double flops;
  std::optional<double> target = std::nullopt;
};

// Repeats fn; reports GFLOP/s and, as `of_peak`, the fraction of the peak that was measured just
// before and just after, with the target.
template <class Function>
void RunAgainstPeak(benchmark::State& state, const Work& work, const Function& fn) {
  fn();  // so that the heap has grown
  const double before = PeakFlops(work.dtype);
  const Stopwatch watch;
  for (auto _ : state) fn();
  const double rate = work.flops * static_cast<double>(state.iterations()) / watch.Seconds();
  const double peak = (before + PeakFlops(work.dtype)) / 2;
  state.counters["GFLOP/s"] = rate / 1e9;
  state.counters["of_peak"] = rate / peak;
  if (work.target) state.counters["target"] = *work.target;
}

}  // namespace condense
