#include "compression/allocator.h"

#include <numeric>

#include "base/error.h"

namespace condense {

std::vector<ModuleCurve> Allocator::Curves(const AllocationRequest&) const { return {}; }

std::vector<double> CapAndRedistribute(std::vector<double> removed, double cap) {
  const double total = std::accumulate(removed.begin(), removed.end(), 0.0);
  if (total > cap * static_cast<double>(removed.size()) * (1 + 1e-12)) {
    throw MakeError<ConfigError>(
        "cannot remove {:.4f} of the block weights when no layer may lose more than {:.4f}; ask "
        "for a smaller ratio or raise the cap",
        total / static_cast<double>(removed.size()), cap);
  }
  std::vector<bool> capped(removed.size(), false);
  while (true) {
    bool any = false;
    double fixed = 0, free = 0, members = 0;
    for (size_t l = 0; l < removed.size(); ++l) {
      if (!capped[l] && removed[l] > cap) capped[l] = any = true;
      if (capped[l]) removed[l] = cap;
      (capped[l] ? fixed : free) += removed[l];
      members += capped[l] ? 0 : 1;
    }
    if (!any) return removed;
    for (size_t l = 0; l < removed.size(); ++l) {
      if (capped[l]) continue;
      // Zeros have no proportions to keep.
      removed[l] = free > 0 ? removed[l] * ((total - fixed) / free) : (total - fixed) / members;
    }
  }
}

}  // namespace condense
