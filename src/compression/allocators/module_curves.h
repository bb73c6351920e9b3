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
  // Residual streams of trial models that are held at once.
  uint64_t state_bytes = uint64_t{2} << 30;
};

// One curve for each layer and group of modules, layer by layer; levels that come out alike are
// measured once.
//
// The dense stream is carried upwards; of a trial model only the blocks from the compressed one on
// are run, and every block that is loaded serves all trials of a layer (as many as state_bytes
// hold: tokens x width x bytes of the number type each). On top of these: two dense streams, the
// compressed modules of one layer and one block, so that a model need not fit into memory.
std::vector<ModuleCurve> MeasureCurves(StatisticsStore& statistics, const ModuleTrials& trials,
                                       const CurveOptions& options);

}  // namespace condense
