#include "evaluation/scorer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/progress.h"
#include "base/system.h"
#include "model/causal_lm.h"
#include "model/check.h"
#include "model/loss.h"

namespace condense {
namespace {

constexpr int64_t kBatchTokens = 4096;

// Runs requests of one batch, right-padded with id 0: causal attention never looks right.
void ScoreBatch(const CausalLm& model, const std::vector<EncodedRequest>& requests,
                std::span<const size_t> batch, std::vector<Score>& scores) {
  std::vector<std::vector<TokenId>> inputs;
  size_t longest = 0;
  for (const size_t r : batch) {
    inputs.push_back(requests[r].Input());
    longest = std::max(longest, inputs.back().size());
  }
  const int64_t length = static_cast<int64_t>(longest);
  std::vector<int64_t> rows;  // scored positions in the flattened batch
  std::vector<int64_t> targets;
  for (size_t i = 0; i < batch.size(); ++i) {
    const auto& continuation = requests[batch[i]].continuation;
    const auto input = static_cast<int64_t>(inputs[i].size());
    const auto count = static_cast<int64_t>(continuation.size());
    for (int64_t c = 0; c < count; ++c) {
      rows.push_back(static_cast<int64_t>(i) * length + input - count + c);
      targets.push_back(continuation[static_cast<size_t>(c)]);
    }
    inputs[i].resize(longest, 0);
  }
  const std::vector<std::span<const TokenId>> spans(inputs.begin(), inputs.end());
  const auto on_device = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, kI64).to(model.device());
  };
  const Tensor hidden = model.Hidden(StackIds(spans, model.device())).flatten(0, 1);
  const TargetScores scored =
      ScoreTargets(model.head(), hidden.index_select(0, on_device(rows)), on_device(targets));
  const Tensor log_prob = scored.log_prob.cpu(), greedy = scored.greedy.cpu();
  const double* value = log_prob.const_data_ptr<double>();
  const bool* is_greedy = greedy.const_data_ptr<bool>();
  for (const size_t r : batch) {
    const auto count = static_cast<int64_t>(requests[r].continuation.size());
    scores[r] = {.log_likelihood = std::accumulate(value, value + count, 0.0),
                 .tokens = count,
                 .greedy = std::all_of(is_greedy, is_greedy + count, [](bool g) { return g; })};
    if (!std::isfinite(scores[r].log_likelihood)) {
      throw MakeError<NumericError>("request {}: the log-likelihood is not finite", r);
    }
    value += count, is_greedy += count;
  }
}

}  // namespace

std::vector<Score> ScoreRequests(const ModelSource& source,
                                 const std::vector<EncodedRequest>& requests,
                                 const ScoreOptions& options) {
  const InferenceScope inference;
  const auto loaded = CausalLm::Load(source);
  const CausalLm& model = *loaded;
  for (size_t r = 0; r < requests.size(); ++r) {
    const std::string place = fmt::format("request {}", r + 1);
    RequireKnownIds(model.config(), requests[r].head, place);
    RequireKnownIds(model.config(), requests[r].continuation, place);
  }
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto length = [&](size_t r) {
    return requests[r].head.size() + requests[r].continuation.size();
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return length(a) > length(b); });
  std::vector<Score> scores(requests.size());
  Progress progress("scoring", static_cast<int64_t>(requests.size()), "requests");
  for (size_t begin = 0; begin < order.size();) {
    CheckInterrupt();
    const auto rows = std::max<size_t>(1, kBatchTokens / length(order[begin]));
    const size_t count = std::min(rows, order.size() - begin);
    const auto batch = std::span(order).subspan(begin, count);
    ScoreBatch(model, requests, batch, scores);
    if (options.finished) {
      std::vector<Score> finished;
      for (const size_t r : batch) finished.push_back(scores[r]);
      options.finished(batch, finished);
    }
    begin += count;
    progress.Advance(static_cast<int64_t>(count));
  }
  return scores;
}

}  // namespace condense
