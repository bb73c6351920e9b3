// How much is removed where: the fraction removed from each module of each layer (methods.md 2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace condense {

// Parameters of the module's linear maps in a layer, as a share of the whole block.
double ModuleShare(const ModelConfig& dense, Module module);

// A value for each module of a layer.
template <class T>
struct PerModule {
  T mlp{}, qk{}, vo{};

  T& of(Module module) { return module == Module::kMlp ? mlp : module == Module::kQk ? qk : vo; }
  const T& of(Module module) const {
    return module == Module::kMlp ? mlp : module == Module::kQk ? qk : vo;
  }
};
using ModuleSparsity = PerModule<double>;        // fractions removed, in [0, 1]
using Allocation = std::vector<ModuleSparsity>;  // one per layer
// Fraction of all block weights that an allocation removes.
double MeanSparsity(const ModelConfig& dense, const Allocation& allocation);

// --- From fractions to widths --------------------------------------------------------------------

enum class RoundingMode { kCarry, kFloor, kNearest, kCeil };

// Rounding of kept widths (methods.md 0.5): with carry the total over layers is right to within one
// unit.
struct Rounding {
  RoundingMode mode = RoundingMode::kCarry;
  int64_t mlp_unit = 1;
  int64_t qk_unit = 0;  // 0: one pair (2) with RoPE, else 1
  int64_t vo_unit = 1;
  // Rounds what the heads of a layer keep together, in place of the width that they all have: a
  // layer's heads then differ, by a unit at most.
  bool pooled_heads = false;
};
// Kept widths for fractions removed; `width` is the dense width.
std::vector<int64_t> RoundWidths(const std::vector<double>& removed, int64_t width, int64_t unit,
                                 RoundingMode mode);
// The same of all heads together, each of which keeps a unit at least: kept columns of a layer.
std::vector<int64_t> RoundPooledWidths(const std::vector<double>& removed, int64_t heads,
                                       int64_t width, int64_t unit, RoundingMode mode);
// The dense model narrowed to an allocation: MLP widths, and head widths that are equal within a
// layer unless heads are pooled.
ModelConfig NarrowedConfig(const ModelConfig& dense, const Allocation& allocation,
                           const Rounding& rounding);

}  // namespace condense
