#include "model/divergence.h"

#include <algorithm>

#include "base/error.h"

namespace condense {
namespace {

// Two blocks of logits at once: with 128,000 ids and float32 130 MB. Fewer rows would make the
// head's product slow.
int64_t ChunkRows(int64_t vocabulary) {
  return std::max<int64_t>(128, (int64_t{1} << 20) / vocabulary);
}

}  // namespace

std::vector<LogitComparison> CompareNextTokens(const HeadedStates& p, const HeadedStates& q,
                                               const Tensor& targets, int64_t vocabulary) {
  const int64_t rows = targets.size(0);
  CONDENSE_CHECK(p.hidden.size(0) == rows && q.hidden.size(0) == rows, "{} and {} states, {} rows",
                 p.hidden.size(0), q.hidden.size(0), rows);
  const int64_t chunk = ChunkRows(vocabulary);
  std::vector<LogitComparison> result;
  result.reserve(static_cast<size_t>(rows));
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = std::min(chunk, rows - begin);
    const auto logits = [&](const HeadedStates& states) {
      return states.head.Forward(states.hidden.narrow(0, begin, count)).narrow(1, 0, vocabulary);
    };
    const Tensor first = logits(p);
    const auto compared =
        CompareLogits(first, logits(q).to(first.device()), targets.narrow(0, begin, count));
    result.insert(result.end(), compared.begin(), compared.end());
  }
  return result;
}

std::vector<double> SumDivergences(const Head& head, const Tensor& p,
                                   const std::vector<Tensor>& q) {
  const int64_t rows = p.size(0), chunk = ChunkRows(head.linear.out());
  std::vector<double> sums(q.size(), 0);
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = std::min(chunk, rows - begin);
    const auto logits = [&](const Tensor& hidden) {
      return head.Forward(hidden.narrow(0, begin, count));
    };
    const Tensor dense = logits(p);
    for (size_t i = 0; i < q.size(); ++i) sums[i] += SumOfDivergences(dense, logits(q[i]));
  }
  return sums;
}

}  // namespace condense
