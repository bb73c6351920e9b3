// Zero-shot scoring: documents a second, and tokens a second as a fraction of the plain forward
// pass (CausalLm::Hidden, without a head) over batches of the same length in the same run. Tokens
// are those that are really computed: beginnings that requests share count once, padding counts
// nothing. ARC-Easy where the development data is, else the bundled questions.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/system.h"
#include "data/task.h"
#include "evaluation/packed_requests.h"
#include "evaluation/scorer.h"
#include "model/causal_lm.h"
#include "model/checkpoint_model.h"

namespace condense {
namespace {

struct Workload {
  std::unique_ptr<CausalLm> model;
  std::vector<EncodedRequest> requests;
  int64_t documents = 0, tokens = 0, naive_tokens = 0, length = 0;
};

Workload MakeWorkload() {
  const std::filesystem::path source = CONDENSE_SOURCE_DIR;
  const auto folder = source / "configs/bundled/models/llama2-mini";
  const char* named = std::getenv("CONDENSE_SHARED");
  const auto data =
      (named ? std::filesystem::path(named) : source.parent_path() / "shared") / "data";
  const bool real = std::filesystem::exists(data / "tasks/arc_easy_test.jsonl");
  const TaskSet task =
      LoadTask(real ? "arc_easy" : "bundle_science_easy", DataRoots::Default({data}));
  Workload work;
  work.model = CausalLm::Load(*CheckpointModel::Open(folder));
  const auto tokenizer = LoadTokenizer(folder);
  const RequestEncoder encoder(*tokenizer, RequestProtocolNamed("lmeval-bos"),
                               work.model->config().max_positions);
  for (const TaskDocument& document : task.documents) {
    for (const Request& request : document.requests) {
      work.requests.push_back(encoder.Encode(request));
      work.naive_tokens += static_cast<int64_t>(work.requests.back().Input().size());
    }
  }
  work.documents = static_cast<int64_t>(task.documents.size());
  work.length = work.naive_tokens / static_cast<int64_t>(work.requests.size());
  for (const RequestBatch& batch : PlanBatches(work.requests, 2048, /*share=*/true)) {
    work.tokens += batch.tokens;
  }
  return work;
}

// Tokens a second of the plain forward pass.
double ForwardSpeed(const Workload& work) {
  constexpr int64_t kTokens = 2048;
  const int64_t batch = kTokens / work.length, repeats = 24;
  const Tensor ids = at::randint(work.model->config().vocab_size, {batch, work.length}, kI64);
  benchmark::DoNotOptimize(work.model->Hidden(ids));
  const Stopwatch watch;
  for (int64_t i = 0; i < repeats; ++i) benchmark::DoNotOptimize(work.model->Hidden(ids));
  return static_cast<double>(repeats * batch * work.length) / watch.Seconds();
}

// Argument: whether beginnings are shared.
void Score(benchmark::State& state) {
  const InferenceScope inference;
  static const Workload work = MakeWorkload();
  const bool share = state.range(0) == 1;
  const auto tokens = static_cast<double>(share ? work.tokens : work.naive_tokens);
  const double before = ForwardSpeed(work);
  const Stopwatch watch;
  for (auto _ : state) {
    benchmark::DoNotOptimize(ScoreRequests(*work.model, work.requests, {.share_prefixes = share}));
  }
  const double seconds = watch.Seconds() / static_cast<double>(state.iterations());
  const double forward = (before + ForwardSpeed(work)) / 2;
  state.counters["documents/s"] = static_cast<double>(work.documents) / seconds;
  state.counters["tokens/s"] = tokens / seconds;
  state.counters["of_forward"] = tokens / seconds / forward;
  state.counters["computed"] = tokens / static_cast<double>(work.naive_tokens);
}
BENCHMARK(Score)
    ->Name("Score/llama2-mini")
    ->ArgName("share")
    ->Arg(0)
    ->Arg(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace condense
