// What the database already knows of a plan, and what a run would do about it.
#pragma once

#include <string>
#include <vector>

#include "experiment/plan/plan.h"
#include "results/results_store.h"

namespace condense {

enum class Rerun { kNothing, kFailed, kAll };

struct CellStatus {
  enum class State {
    kBlocked,  // an input is missing
    kDone,     // every stage has a result
    kFailed,   // and is not retried
    kRunning,  // another process works on it
    kToDo,
  };
  State state = State::kToDo;
  std::string reason;  // for people: "new", "failed before: ...", "evaluate x is missing"
};

// `store` may be null: nothing is known yet.
std::vector<CellStatus> StatusOf(const ExperimentSpec& spec, const ExperimentPlan& plan,
                                 const ResultsStore* store, Rerun rerun);

// The whole plan, one line per cell, as `--dry-run` prints it.
std::string PlanText(const ExperimentSpec& spec, const ExperimentPlan& plan,
                     const std::vector<CellStatus>& status);

// How two canonical texts of one cell differ: "method, model.weights".
std::string ChangedParts(const std::string& before, const std::string& after);

}  // namespace condense
