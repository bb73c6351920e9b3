// How the columns that a layer keeps are shared by its heads: an option of methods that narrow
// heads.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "config/fields.h"
#include "tensor/tensor.h"

namespace condense {

enum class HeadBudget { kEqual, kPooled };
template <>
struct EnumNames<HeadBudget> {
  static constexpr std::array names{std::pair{HeadBudget::kEqual, "equal"},
                                    std::pair{HeadBudget::kPooled, "pooled"}};
};

// The heads of one layer.
struct HeadColumns {
  int64_t heads = 1;
  int64_t width = 1;  // dense width of each
  int64_t unit = 1;   // columns that gains are counted in: 2 for rotary pairs
  int64_t step = 1;   // columns that a width is a multiple of, when pooled
};

// Widths of the heads of a layer that keeps `columns` of them together. gains_of(j): gains of the
// units of head j, in the order in which they are kept (PooledWidths); called only if widths
// depend on them.
std::vector<int64_t> HeadWidths(HeadBudget budget, const HeadColumns& layer, int64_t columns,
                                const std::function<Tensor(size_t)>& gains_of);

}  // namespace condense
