// How much worse the predictions of the dense model become when some modules of one block are
// compressed alone, by more and more: the curves that `kl_curves` spends a budget on (condense.md
// 3).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "calibration/statistics_store.h"
#include "compression/module_trials.h"

namespace condense {

struct CurveOptions {
  int64_t windows = 8;            // sequences of the calibration set, evenly spread over it
  std::optional<int64_t> tokens;  // the first of each sequence
  std::vector<double> levels;     // fractions to remove, ascending
  // The statistics that trials are fitted to come from so many sequences, evenly spread over the
  // set; 0: from all.
  int64_t fitted_sequences = 0;
  // Residual streams of trial models that stay in memory; the others wait in a file. All of them
  // take layers x groups of modules x levels x tokens x width x bytes of the number type.
  uint64_t state_bytes = uint64_t{2} << 30;
  // Streams that are moved together, at least one trial's: memory on top of state_bytes.
  uint64_t group_bytes = uint64_t{256} << 20;
};

// One curve for each layer and group of modules, layer by layer; levels that come out alike are
// measured once.
//
// One walk up the model: each block is loaded once, by the pass that collects the statistics where
// they are missing. At block l the streams of all trials of lower layers pass through it together,
// then the trials of layer l begin; predictions are compared at the end. In memory at a time: one
// block, the statistics of one layer, one compressed copy of what changes in a block, the dense
// stream, and the streams of the trials as far as the options allow.
std::vector<ModuleCurve> MeasureCurves(StatisticsStore& statistics, const ModuleTrials& trials,
                                       const CurveOptions& options);

}  // namespace condense
