// Index sets: choosing, complementing, and sharing widths between heads.
#include <algorithm>
#include <limits>

#include "base/error.h"
#include "compression/solvers/solvers.h"
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
  const size_t heads = gains.size();
  std::vector<std::vector<double>> steps(heads);  // gain of each step of each head
  int64_t room = 0;
  for (size_t j = 0; j < heads; ++j) {
    const Tensor sums = gains[j]
                            .narrow(0, 0, gains[j].size(0) / step * step)
                            .reshape({-1, step})
                            .sum(1)
                            .to(at::kCPU);
    RequireFinite(sums, "gains of head units");
    const double* values = sums.const_data_ptr<double>();
    steps[j].assign(values, values + sums.numel());
    room += sums.numel();
  }
  const int64_t wanted = total / step;
  CONDENSE_CHECK(total % step == 0 && wanted >= static_cast<int64_t>(heads) && wanted <= room,
                 "{} units in steps of {} over {} heads with room for {}", total, step, heads,
                 room * step);
  std::vector<int64_t> taken(heads, 1);
  for (auto given = static_cast<int64_t>(heads); given < wanted; ++given) {
    size_t best = heads;
    double most = -std::numeric_limits<double>::infinity();
    for (size_t j = 0; j < heads; ++j) {
      const auto next = static_cast<size_t>(taken[j]);
      if (next < steps[j].size() && steps[j][next] > most) most = steps[j][next], best = j;
    }
    ++taken[best];
  }
  for (int64_t& width : taken) width *= step;
  return taken;
}

}  // namespace condense
