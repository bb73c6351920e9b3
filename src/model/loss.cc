#include "model/loss.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/one_pass.h"

namespace condense {
namespace {

// Rows of logits held at once: few enough to stay in cache between their product and their
// softmax, but no fewer than keep the product efficient when the vocabulary is large.
int64_t ChunkRows(const Head& head) {
  return std::max<int64_t>(256, (int64_t{1} << 20) / head.linear.out());
}

// Negative log-likelihood of ids [rows] given logits [rows, vocabulary], float64; log-softmax in
// the dtype of the logits.
Tensor NllAsLogits(const Tensor& logits, const Tensor& ids) {
  return at::log_softmax(logits, -1).gather(1, ids.unsqueeze(1)).squeeze(1).neg().to(kF64);
}

// In float32.
Tensor NllInFloat32(const Tensor& logits, const Tensor& ids) {
  if (InPlaceAllowed() && logits.is_cpu()) {
    std::vector<RowTarget> targets;
    const Tensor wanted = ids.cpu().contiguous();
    for (int64_t row = 0; row < ids.size(0); ++row) {
      targets.push_back({.row = row, .id = wanted.const_data_ptr<int64_t>()[row]});
    }
    Tensor losses = at::empty({ids.size(0)}, kF64);
    double* loss = losses.mutable_data_ptr<double>();
    for (const TargetScore& score : ScoreRowTargets(logits, targets)) *loss++ = -score.log_prob;
    return losses;
  }
  return NllAsLogits(logits.to(kF32), ids);
}

}  // namespace

std::vector<TargetScore> ScoreTargets(const Head& head, const Tensor& hidden,
                                      std::span<const RowTarget> targets) {
  std::vector<TargetScore> scores;
  scores.reserve(targets.size());
  const int64_t rows = hidden.size(0), chunk = ChunkRows(head);
  size_t next = 0;
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = std::min(chunk, rows - begin);
    std::vector<RowTarget> here;
    for (; next < targets.size() && targets[next].row < begin + count; ++next) {
      here.push_back({.row = targets[next].row - begin, .id = targets[next].id});
    }
    if (here.empty()) continue;
    const auto scored = ScoreRowTargets(head.Forward(hidden.narrow(0, begin, count)), here);
    scores.insert(scores.end(), scored.begin(), scored.end());
  }
  CONDENSE_CHECK(next == targets.size(), "target {} of row {}", next, targets[next].row);
  return scores;
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
    const Tensor logits = head.Forward(rows.narrow(0, begin, count));
    const Tensor ids_here = wanted.narrow(0, begin, count);
    losses.push_back(precision == LossPrecision::kFloat32 ? NllInFloat32(logits, ids_here)
                                                          : NllAsLogits(logits, ids_here));
  }
  return at::cat(losses).view({batch, targets});
}

}  // namespace condense
