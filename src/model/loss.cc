#include "model/loss.h"

#include <algorithm>

#include "base/error.h"

namespace condense {
namespace {

// Rows of logits held at once: few enough to stay in cache between their product and their
// softmax, but no fewer than keep the product efficient when the vocabulary is large.
int64_t ChunkRows(const Head& head) {
  return std::max<int64_t>(256, (int64_t{1} << 20) / head.linear.out());
}

}  // namespace

TargetScores ScoreTargets(const Head& head, const Tensor& hidden, const Tensor& targets) {
  std::vector<Tensor> log_probs, greedy;
  const int64_t rows = hidden.size(0), chunk = ChunkRows(head);
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = std::min(chunk, rows - begin);
    const Tensor logits = head.Forward(hidden.narrow(0, begin, count)).to(kF32);
    const Tensor target = targets.narrow(0, begin, count).unsqueeze(1);
    log_probs.push_back(at::log_softmax(logits, -1).gather(1, target).squeeze(1).to(kF64));
    greedy.push_back(logits.argmax(-1) == target.squeeze(1));
  }
  return {at::cat(log_probs), at::cat(greedy)};
}

Tensor NextTokenNll(const Head& head, const Tensor& hidden, const Tensor& ids,
                    LossPrecision precision) {
  const int64_t batch = ids.size(0), targets = ids.size(1) - 1;
  CONDENSE_CHECK(targets >= 1, "a window of one token has no target");
  const Tensor rows = hidden.narrow(1, 0, targets).flatten(0, 1);
  const Tensor wanted = ids.narrow(1, 1, targets).flatten();
  std::vector<Tensor> losses;
  const int64_t chunk = ChunkRows(head);
  for (int64_t begin = 0; begin < rows.size(0); begin += chunk) {
    const int64_t count = std::min(chunk, rows.size(0) - begin);
    Tensor logits = head.Forward(rows.narrow(0, begin, count));
    if (precision == LossPrecision::kFloat32) logits = logits.to(kF32);
    losses.push_back(at::log_softmax(logits, -1)
                         .gather(1, wanted.narrow(0, begin, count).unsqueeze(1))
                         .squeeze(1)
                         .neg()
                         .to(kF64));
  }
  return at::cat(losses).view({batch, targets});
}

}  // namespace condense
