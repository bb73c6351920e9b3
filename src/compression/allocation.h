// How much is removed where: the fraction removed from each module of each layer (methods.md 2).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace condense {

// Parameters of the module's linear maps in a layer, as a share of the whole block.
double ModuleShare(const ModelConfig& dense, Module module);

// Fractions removed, in [0, 1].
struct ModuleSparsity {
  double mlp = 0, qk = 0, vo = 0;
  double& of(Module module);
  double of(Module module) const;
};
using Allocation = std::vector<ModuleSparsity>;  // one a layer
// Fraction of all block weights that an allocation removes.
double MeanSparsity(const ModelConfig& dense, const Allocation& allocation);

class ModuleTrials;
struct ModuleCurve;
class StatisticsStore;

struct AllocationRequest {
  const ModelConfig& dense;
  double target = 0;  // fraction of block weights to remove
  // Statistics of the dense model over the set that scores the layers; for block influence and for
  // trials.
  StatisticsStore& statistics;
  const ModuleTrials* trials = nullptr;  // null if the method offers none
};

class Allocator {
 public:
  static constexpr const char* kKind = "allocator";
  virtual ~Allocator() = default;
  // MeanSparsity of the result equals the target (1e-12). ConfigError when the target cannot be
  // met.
  virtual Allocation Allocate(const AllocationRequest& request) const = 0;
  // True when there is one allocation only, which answers no other target than its own; the
  // framework then asks for the nominal ratio and does not look for another.
  virtual bool IsFixed() const { return false; }
  // What it measured, for the report.
  virtual std::vector<ModuleCurve> Curves(const AllocationRequest&) const;
};

// Redistributes a proposal so that no entry exceeds `cap` and the mean is kept; entries below the
// cap keep their proportions (methods.md 2, "Cap and redistribution"). ConfigError if the mean
// exceeds the cap.
std::vector<double> CapAndRedistribute(std::vector<double> removed, double cap);

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
