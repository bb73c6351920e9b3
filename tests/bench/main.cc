// condense_bench [--threads=N] [option of Google Benchmark ...]
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/strings.h"
#include "base/system.h"
#include "bench/roofline.h"
#include "tensor/openmp_wait.h"

namespace condense {

double PeakFlops(DType dtype) {
  // Random numbers, because processors save energy on equal ones; larger than the caches.
  constexpr int64_t kRows = 2048, kSide = 4096;
  const InferenceScope inference;
  const Tensor a = at::randn({kRows, kSide}, dtype), b = at::randn({kSide, kSide}, dtype);
  Tensor c = at::mm(a, b);
  double best = 1e30;
  for (int repetition = 0; repetition < 5; ++repetition) {
    const Stopwatch watch;
    at::mm_out(c, a, b);
    best = std::min(best, watch.Seconds());
  }
  return 2.0 * kRows * kSide * kSide / best;
}

}  // namespace condense

CONDENSE_LIMIT_OPENMP_WAITING();

int main(int argc, char** argv) {
  int threads = 1;
  constexpr std::string_view kThreads = "--threads=";
  char** end = std::remove_if(argv + 1, argv + argc, [&](const char* argument) {
    if (!condense::StartsWith(argument, kThreads)) return false;
    threads = std::atoi(argument + kThreads.size());
    return true;
  });
  argc = static_cast<int>(end - argv);
  condense::ConfigureTorch(threads);
  benchmark::AddCustomContext("threads", std::to_string(condense::TorchThreads()));
  benchmark::AddCustomContext("OpenMP", condense::OpenMpWaiting());
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
