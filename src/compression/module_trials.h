// What a method offers to allocators that measure: its own solvers, applied to some modules of one
// block while the rest of the model stays dense.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "calibration/statistics.h"
#include "compression/allocation.h"
#include "model/block.h"

namespace condense {

// Modules of a layer that the method narrows by one fraction; an allocator spends on them together.
struct ModuleGroup {
  std::string name;  // unique in the method
  std::vector<Module> modules;
};

struct TrialInput {
  const ModelConfig& model;           // dense
  const Block& dense;                 // the block, as loaded
  const BlockStatistics& statistics;  // of TrialRequests(), from the dense model
  int64_t layer = 0;
};

// A copy of the dense block in which one group of modules is compressed.
struct TrialBlock {
  Block block;
  // Where all that happened to the MLP's inputs is that channels were taken out: those that stayed,
  // ascending. Else empty.
  std::vector<int64_t> kept_channels;
};

class ModuleTrials {
 public:
  virtual ~ModuleTrials() = default;
  // Everything that the trials depend on besides the model and the calibration set. Measured curves
  // are stored under it, on disk too.
  virtual std::string TrialKey() const = 0;
  // What the method compresses at all, with its present options.
  virtual std::vector<ModuleGroup> ModuleGroups() const = 0;
  virtual StatRequests TrialRequests(const ModelConfig& model) const = 0;
  // Whether the method itself is fitted to these statistics too, so that one pass over the
  // calibration set gives both. If not, trials need no more tokens than their own fits do.
  virtual bool SharesStatistics() const { return true; }
  // Hands out one block for each fraction to remove (ascending, each below 1), in this order. One
  // call for all, so that a method computes once what they share; one block at a time, so that
  // `use` may drop each before the next is made. Fractions may be rounded to what the method can
  // do: the shapes of a block say how much was removed. Tensors that did not change are those of
  // the dense block.
  virtual void CompressAlone(const TrialInput& input, const ModuleGroup& group,
                             const std::vector<double>& removed,
                             const std::function<void(const TrialBlock& made)>& use) const = 0;
};

// Damage done by removing more and more of one group of modules of one layer. Begins with nothing
// removed.
struct ModuleCurve {
  int64_t layer = 0;
  ModuleGroup group;
  std::vector<double> removed;     // fractions of the group's linear weights, ascending
  std::vector<double> divergence;  // mean KL(dense || compressed) a token
};

}  // namespace condense
