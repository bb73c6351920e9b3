// Scoring multiple-choice questions in the shape of arc_easy on the bundled llama2-mini, compared
// with the plain forward pass over as many ids.
#include <cmath>
#include <ctime>
#include <memory>
#include <random>

#include "bench/roofline.h"
#include "evaluation/packed_requests.h"
#include "evaluation/scorer.h"
#include "model/causal_lm.h"
#include "model/stored/checkpoint_model.h"

namespace condense {
namespace {

constexpr int64_t kDocuments = 256, kChoices = 4;

const CausalLm& Mini() {
  static const std::unique_ptr<CausalLm> model = CausalLm::Load(*CheckpointModel::Open(
      std::string(CONDENSE_SOURCE_DIR) + "/configs/bundled/models/llama2-mini"));
  return *model;
}

// In arc_easy, with this tokenizer, a question has 42 ids and a choice 6.7; one in six ids of a
// question belongs to a prefix that it shares with another question.
std::vector<EncodedRequest> Questions() {
  std::mt19937 random(0);
  const auto ids = [&](size_t count, std::vector<TokenId> begin = {}) {
    while (begin.size() < count) begin.push_back(static_cast<TokenId>(3 + random() % 4093));
    return begin;
  };
  const std::vector<TokenId> opening = ids(7);
  std::vector<EncodedRequest> requests;
  for (int64_t d = 0; d < kDocuments; ++d) {
    const auto question = ids(22 + random() % 41, opening);
    for (int64_t c = 0; c < kChoices; ++c) {
      requests.push_back({.head = question, .continuation = ids(2 + random() % 10)});
    }
  }
  return requests;
}

double BlockFlops(const LayerConfig& layer, double tokens, double asking, double length) {
  const auto d = static_cast<double>(layer.in_width), h = static_cast<double>(layer.mlp_width);
  const auto q = static_cast<double>(layer.QueryWidth()), k = static_cast<double>(layer.KeyWidth());
  return 2 * (tokens * 2 * d * k + asking * (2 * d * q + 3 * d * h + q * length));
}

struct Work {
  double ids = 0, flops = 0;
};

// The ids to compute when every shared id is computed once.
Work WorkOf(const std::vector<EncodedRequest>& requests) {
  Work work;
  const ModelConfig& config = Mini().config();
  for (const RequestBatch& batch : PlanBatches(requests, 1 << 30, /*share=*/true)) {
    const PackedBatch packed = PackBatch(requests, batch, /*share=*/true);
    const auto tokens = static_cast<double>(batch.tokens);
    const auto scored = static_cast<double>(packed.last_layout.queries());
    const auto length = static_cast<double>(packed.layout.positions()) / 2;
    for (int64_t l = 0; l < config.num_layers(); ++l) {
      work.flops += BlockFlops(config.layers[static_cast<size_t>(l)], tokens,
                               l + 1 < config.num_layers() ? tokens : scored, length);
    }
    work.ids += tokens;
    work.flops += 2 * scored * static_cast<double>(config.vocab_size * config.head_width);
  }
  return work;
}

// Argument: whether prefixes are shared.
void Scoring(benchmark::State& state) {
  const std::vector<EncodedRequest> requests = Questions();
  const ScoreOptions options{.share_prefixes = state.range(0) != 0};
  const Work work = WorkOf(requests);
  int64_t naive = 0;
  for (const EncodedRequest& request : requests) {
    naive += static_cast<int64_t>(request.Input().size());
  }
  RunAgainstPeak(state, {kF32, work.flops},
                 [&] { benchmark::DoNotOptimize(ScoreRequests(Mini(), requests, options)); });
  state.SetItemsProcessed(state.iterations() * kDocuments);  // documents per second
  state.counters["ids"] = work.ids;
  state.counters["ids_if_alone"] = static_cast<double>(naive);
}
BENCHMARK(Scoring)
    ->Name("Scorer/arc_easy")
    ->ArgName("shared")
    ->Arg(1)
    ->Arg(0)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

double Seconds(std::clock_t ticks) { return static_cast<double>(ticks) / CLOCKS_PER_SEC; }

// Ids per second of the scorer, head and softmax included, as a fraction of those of the plain
// forward pass without a head, on batches of the same number of ids in rows of the same length. In
// processor time, which other programs on the machine disturb least.
void AgainstForward(benchmark::State& state) {
  const InferenceScope inference;
  const std::vector<EncodedRequest> requests = Questions();
  const double ids = WorkOf(requests).ids;
  constexpr int64_t kLength = 48, kRows = 2048 / kLength;
  const Tensor plain = at::randint(Mini().config().vocab_size, {kRows, kLength}, kI64);
  const int64_t passes = std::llround(ids / static_cast<double>(kRows * kLength));
  double scoring = 0, forward = 0;
  for (auto _ : state) {
    const std::clock_t start = std::clock();
    for (int64_t pass = 0; pass < passes; ++pass) benchmark::DoNotOptimize(Mini().Hidden(plain));
    const std::clock_t middle = std::clock();
    forward += Seconds(middle - start) * ids / static_cast<double>(passes * kRows * kLength);
    benchmark::DoNotOptimize(ScoreRequests(Mini(), requests));
    scoring += Seconds(std::clock() - middle);
  }
  state.counters["ids/s"] = ids * static_cast<double>(state.iterations()) / scoring;
  state.counters["of_forward"] = forward / scoring;
}
BENCHMARK(AgainstForward)
    ->Name("Scorer/against forward")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace condense
