#include "compression/bases/head_budget.h"

#include "compression/solvers/indices.h"

namespace condense {

std::vector<int64_t> HeadWidths(HeadBudget budget, const HeadColumns& layer, int64_t columns,
                                const std::function<Tensor(size_t)>& gains_of) {
  const auto heads = static_cast<size_t>(layer.heads);
  if (budget == HeadBudget::kEqual || columns == layer.heads * layer.width) {
    return std::vector<int64_t>(heads, columns / layer.heads);
  }
  std::vector<Tensor> gains;
  for (size_t j = 0; j < heads; ++j) gains.push_back(gains_of(j));
  std::vector<int64_t> widths = PooledWidths(gains, columns / layer.unit, layer.step / layer.unit);
  for (int64_t& width : widths) width *= layer.unit;
  return widths;
}

}  // namespace condense
