#include "compression/solvers/indices.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

Indices FirstSorted(const Tensor& scores, int64_t k, bool descending) {
  CONDENSE_CHECK(scores.dim() == 1 && k >= 0 && k <= scores.size(0), "{} of scores {}", k,
                 ShapeString(scores.sizes()));
  RequireFinite(scores, "selection scores");
  // A stable sort keeps equal scores in the order of their indices, in either direction.
  const Tensor order = std::get<1>(at::sort(scores.to(at::kCPU), /*stable=*/true, 0, descending));
  const int64_t* first = order.const_data_ptr<int64_t>();
  Indices chosen(first, first + k);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace

Indices SmallestIndices(const Tensor& scores, int64_t k) { return FirstSorted(scores, k, false); }
Indices LargestIndices(const Tensor& scores, int64_t k) { return FirstSorted(scores, k, true); }

Indices Complement(const Indices& kept, int64_t count) {
  Indices dropped;
  dropped.reserve(static_cast<size_t>(count) - kept.size());
  auto next = kept.begin();
  for (int64_t i = 0; i < count; ++i) {
    if (next != kept.end() && *next == i) {
      ++next;
    } else {
      dropped.push_back(i);
    }
  }
  return dropped;
}

Tensor IndexTensor(const Indices& indices) {
  return at::tensor(indices, at::TensorOptions().dtype(kI64));
}

std::vector<int64_t> PooledWidths(const std::vector<Tensor>& gains, int64_t total, int64_t step) {
  // What each head brings with 1, 2, ... steps.
  std::vector<std::vector<double>> sums;
  size_t room = 0;
  for (const Tensor& head : gains) {
    const int64_t steps = head.size(0) / step;
    const Tensor brought =
        head.narrow(0, 0, steps * step).reshape({steps, step}).sum(1).cumsum(0).to(at::kCPU);
    RequireFinite(brought, "gains of head units");
    const double* values = brought.const_data_ptr<double>();
    sums.emplace_back(values, values + steps);
    room += sums.back().size();
  }
  const size_t heads = sums.size(), wanted = static_cast<size_t>(total / step);
  CONDENSE_CHECK(total % step == 0 && wanted >= heads && wanted <= room,
                 "{} units in steps of {} over {} heads with room for {}", total, step, heads,
                 room * static_cast<size_t>(step));
  // best[t]: the most that the heads so far bring with t steps; chosen[j][t]: of which head j has
  // that many. A step need not bring less than the one before it, so that handing them out one by
  // one would not do.
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  std::vector<double> best(wanted + 1, kNever);
  best[0] = 0;
  std::vector<std::vector<size_t>> chosen;
  for (const std::vector<double>& head : sums) {
    std::vector<double> with(wanted + 1, kNever);
    std::vector<size_t>& own = chosen.emplace_back(wanted + 1, 0);
    for (size_t t = 1; t <= wanted; ++t) {
      for (size_t k = 1; k <= std::min(t, head.size()); ++k) {
        const double sum = best[t - k] + head[k - 1];
        if (sum > with[t]) with[t] = sum, own[t] = k;
      }
    }
    best = std::move(with);
  }
  std::vector<int64_t> taken(heads);
  size_t left = wanted;
  for (size_t j = heads; j-- > 0;) {
    taken[j] = static_cast<int64_t>(chosen[j][left]);
    left -= chosen[j][left];
  }
  for (int64_t& width : taken) width *= step;
  return taken;
}

}  // namespace condense
