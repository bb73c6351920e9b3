// The contract of an allocator: how much is removed from each module of each layer so that a target
// is met (methods.md 2). An allocator is one file under allocators/.
#pragma once

#include <vector>

#include "calibration/statistics_store.h"
#include "compression/allocation.h"
#include "compression/module_trials.h"

namespace condense {

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
  // True if the allocation is always the same, whatever the target. The framework then takes the
  // requested ratio for the nominal one and searches no further.
  virtual bool IsFixed() const { return false; }
  // What it measured, for the report.
  virtual std::vector<ModuleCurve> Curves(const AllocationRequest&) const;
};

// Redistributes a proposal so that no entry exceeds `cap` and the mean is kept; entries below the
// cap keep their proportions (methods.md 2, "Cap and redistribution"). ConfigError if the mean
// exceeds the cap.
std::vector<double> CapAndRedistribute(std::vector<double> removed, double cap);

}  // namespace condense
