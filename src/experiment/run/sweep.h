// Runs the missing stages of a plan and stores each as soon as it is finished.
//
// Killing the program at any moment loses at most the stage that is running: the next start finds it
// abandoned and takes it over. Several processes may work on one plan, each on cells of its own.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "experiment/inputs/inputs.h"
#include "experiment/plan/plan.h"
#include "experiment/run/status.h"

namespace condense {

struct SweepOptions {
  std::filesystem::path results;  // folder of artefacts and caches
  std::string device = "cpu";
  int threads = 0;  // 0: one for each physical core
  Rerun rerun = Rerun::kNothing;
  bool fail_fast = false;
  // Keys of stages that were repeated under Rerun::kAll; shared by the sweeps of one command, so that
  // a stage that several experiments share is repeated once. May be null.
  std::set<std::string>* repeated = nullptr;
};

struct SweepOutcome {
  int computed = 0;  // cells finished now
  int failed = 0;    // cells without a result, now or from before
};

// Stores the experiment, its cells and the protocols of everything that it measures. Returns the
// experiment's id.
int64_t RegisterPlan(const ExperimentSpec& spec, const ExperimentPlan& plan, ResultsStore& store);

// The plan must have been registered. Throws what stops the whole sweep: Interrupted, a database
// that cannot be written, a checkpoint that fails the checks made before the first cell.
SweepOutcome RunSweep(const ExperimentSpec& spec, const ExperimentPlan& plan, InputResolver& inputs,
                      ResultsStore& store, const SweepOptions& options);

}  // namespace condense
