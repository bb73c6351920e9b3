#include "kernels/target_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "kernels/parallel_loops.h"
#include "kernels/vector_math.h"

namespace condense {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

struct RowSum {
  float largest = kLowest;
  double log_sum = 0;  // log of the sum of e^(x - largest)
  double LogProb(float x) const { return static_cast<double>(x) - largest - log_sum; }
};

CONDENSE_WIDE_VECTORS
float LargestOf(const float* x, int64_t count) {
  float largest = kLowest;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < count; ++i) largest = largest < x[i] ? x[i] : largest;
  return largest;
}

// Blocks are summed in float64, so that the rounding of float32 stays small however many ids there
// are.
CONDENSE_WIDE_VECTORS
double SumOfExponentials(const float* x, float largest, int64_t count) {
  constexpr int64_t kBlock = 1 << 9;
  double sum = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, count);
    float block = 0;
#pragma omp simd reduction(+ : block)
    for (int64_t i = begin; i < end; ++i) block += ExpOfNegative(x[i] - largest);
    sum += block;
  }
  return sum;
}

RowSum SumRow(const float* x, int64_t count) {
  RowSum row{.largest = LargestOf(x, count)};
  row.log_sum = std::log(SumOfExponentials(x, row.largest, count));
  return row;
}

bool IsFirstLargest(const float* x, int64_t id, float largest) {
  return x[id] == largest && std::find(x, x + id, largest) == x + id;
}

}  // namespace

std::vector<TargetScore> ScoreRowTargets(const Tensor& logits, std::span<const RowTarget> targets) {
  CONDENSE_CHECK(logits.dim() == 2, "logits {}", ShapeString(logits.sizes()));
  if (!logits.is_cpu()) return ScoreRowTargetsComposed(logits, targets);
  const Tensor wide = logits.to(kF32).contiguous();
  const int64_t count = wide.size(1);
  const float* data = wide.const_data_ptr<float>();
  std::vector<TargetScore> scores(targets.size());
  const auto total = static_cast<int64_t>(targets.size());
  at::parallel_for(0, total, (1 << 14) / count + 1, [&](int64_t begin, int64_t end) {
    RowSum sum;
    for (int64_t t = begin; t < end; ++t) {
      const auto [row, id] = targets[static_cast<size_t>(t)];
      const float* x = data + row * count;
      if (t == begin || row != targets[static_cast<size_t>(t - 1)].row) sum = SumRow(x, count);
      scores[static_cast<size_t>(t)] = {.log_prob = sum.LogProb(x[id]),
                                        .greedy = IsFirstLargest(x, id, sum.largest)};
    }
  });
  return scores;
}

std::vector<TargetScore> ScoreRowTargetsComposed(const Tensor& logits,
                                                 std::span<const RowTarget> targets) {
  Tensor rows = at::empty({static_cast<int64_t>(targets.size())}, kI64), ids = at::empty_like(rows);
  for (size_t t = 0; t < targets.size(); ++t) {
    rows.mutable_data_ptr<int64_t>()[t] = targets[t].row;
    ids.mutable_data_ptr<int64_t>()[t] = targets[t].id;
  }
  rows = rows.to(logits.device()), ids = ids.to(logits.device());
  const Tensor wide = logits.to(kF32);
  // Summed in float64, as above: the rounding of a sum in float32 differs between machines.
  const Tensor largest = wide.amax(-1, /*keepdim=*/true);
  const Tensor log_sum = (wide - largest).exp_().sum(-1, /*keepdim=*/false, kF64).log_();
  const Tensor log_prob =
      (wide.index({rows, ids}).to(kF64) - (largest.squeeze(-1).to(kF64) + log_sum).index({rows}))
          .cpu();
  const Tensor greedy = (wide.argmax(-1).index({rows}) == ids).cpu();
  std::vector<TargetScore> scores(targets.size());
  for (size_t t = 0; t < targets.size(); ++t) {
    scores[t] = {.log_prob = log_prob.const_data_ptr<double>()[t],
                 .greedy = greedy.const_data_ptr<bool>()[t]};
  }
  return scores;
}

}  // namespace condense
