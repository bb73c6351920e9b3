// Runs what is missing of a plan and stores every finished stage at once.
//
// Killing the program at any moment loses at most the stage in hand: the next start finds it
// abandoned and takes it over. Several processes may work on one plan; each cell is done by one of
// them.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "experiment/inputs.h"
#include "experiment/plan.h"
#include "experiment/run/status.h"
#include "model/stored/checkpoint_model.h"

namespace condense {

struct SweepOptions {
  std::filesystem::path results;  // folder of artefacts and caches
  std::string device = "cpu";
  int threads = 0;  // 0: one for each physical core
  Rerun rerun = Rerun::kNothing;
  bool fail_fast = false;
  // Keys of stages that were done anew under Rerun::kAll; shared by the sweeps of one command, so
  // that what several experiments have in common is repeated once. May be null.
  std::set<std::string>* repeated = nullptr;
};

struct SweepOutcome {
  int computed = 0;  // cells finished now
  int failed = 0;    // cells without a result, now or from before
};

// The experiment must have been registered. Throws what makes going on pointless: Interrupted, a
// database that cannot be written, a checkpoint that fails the checks made before the first cell.
SweepOutcome RunSweep(const ExperimentSpec& spec, const ExperimentPlan& plan, InputResolver& inputs,
                      ResultsStore& store, const SweepOptions& options);

}  // namespace condense
