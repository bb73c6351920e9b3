#include "experiment/run/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "report/measurements.h"
#include "results/process.h"

namespace condense {
namespace {

using Json = nlohmann::json;
using State = CellStatus::State;

void CollectChanges(const Json& before, const Json& after, const std::string& path,
                    std::vector<std::string>& changes) {
  if (before == after) return;
  if (!before.is_object() || !after.is_object()) {
    changes.push_back(path);
    return;
  }
  const Json none;
  for (const auto& [key, value] : after.items()) {
    CollectChanges(before.contains(key) ? before.at(key) : none, value,
                   path.empty() ? key : path + "." + key, changes);
  }
}

// Cells of the last run of the experiment, by what the user calls them.
class Earlier {
 public:
  Earlier(const ExperimentSpec& spec, const ResultsStore* store) {
    if (store == nullptr) return;
    const auto experiment = store->FindExperiment(spec.name, spec.profile);
    if (!experiment) return;
    for (const ExperimentCell& cell : store->CellsOfExperiment(experiment->id)) {
      cells_[NameOf(cell)] = cell.run;
    }
  }
  const RunRecord* Find(const ExperimentCell& cell) const {
    const auto found = cells_.find(NameOf(cell));
    return found == cells_.end() ? nullptr : &found->second;
  }

 private:
  using Keys = std::map<std::string, std::string>;
  // Without the details that may have changed under the same name.
  static Keys NameOf(const ExperimentCell& cell) {
    Keys keys = KeysOf(cell);
    for (const char* detail : {"dtype", "params", "ratio_kind"}) keys.erase(detail);
    return keys;
  }
  std::map<Keys, RunRecord> cells_;
};

std::string MissingStages(const PlannedCell& cell, const ResultsStore& store) {
  std::vector<std::string> missing;
  for (const PlannedStage& stage : cell.stages) {
    const auto record = store.FindStage(stage.key);
    if (!record || !record->state.has_result) missing.push_back(stage.Name());
  }
  return Join(missing, ", ");
}

CellStatus ToDo(std::string reason) { return {State::kToDo, std::move(reason)}; }

CellStatus NewCell(const ExperimentCell& cell, const Earlier& earlier) {
  const RunRecord* before = earlier.Find(cell);
  if (before == nullptr || before->fingerprint == cell.run.fingerprint) return ToDo("new");
  return ToDo("changed: " + ChangedParts(before->canonical, cell.run.canonical));
}

CellStatus KnownCell(const PlannedCell& cell, const RunRecord& run, const ResultsStore& store,
                     Rerun rerun) {
  const WorkState& state = run.state;
  if (state.status == WorkStatus::kRunning) {
    const Owner owner = state.owner.value_or(Owner{});
    if (LifeOf(owner) == Life::kDead) {
      return ToDo(fmt::format("was interrupted: process {} has ended", owner.pid));
    }
    return {State::kRunning, fmt::format("claimed by process {} on {}", owner.pid, owner.host)};
  }
  if (state.status == WorkStatus::kFailed && rerun == Rerun::kNothing) {
    return {State::kFailed, fmt::format("failed before ({}): {}", state.error_class,
                                        Split(state.error_message, '\n').front())};
  }
  if (rerun == Rerun::kAll) return ToDo("--rerun all");
  if (state.status == WorkStatus::kFailed) return ToDo("--rerun failed");
  const std::string missing = MissingStages(cell, store);
  if (state.has_result && missing.empty()) return {State::kDone, ""};
  if (state.status == WorkStatus::kStale) return ToDo("was interrupted; missing: " + missing);
  return ToDo(missing.empty() ? "was not finished" : "missing: " + missing);
}

const char* Word(State state) {
  switch (state) {
    case State::kBlocked:
      return "blocked";
    case State::kDone:
      return "done";
    case State::kFailed:
      return "failed";
    case State::kRunning:
      return "running";
    case State::kToDo:
      return "run";
  }
  return "";
}

}  // namespace

std::string ChangedParts(const std::string& before, const std::string& after) {
  std::vector<std::string> changes;
  CollectChanges(Json::parse(before, nullptr, false), Json::parse(after, nullptr, false), "",
                 changes);
  return Join(changes, ", ");
}

std::vector<CellStatus> StatusOf(const ExperimentSpec& spec, const ExperimentPlan& plan,
                                 const ResultsStore* store, Rerun rerun) {
  const Earlier earlier(spec, store);
  const std::vector<ExperimentCell> records = CellRecords(spec, plan);
  std::vector<CellStatus> status;
  for (size_t i = 0; i < plan.cells.size(); ++i) {
    const PlannedCell& cell = plan.cells[i];
    if (!cell.complete) {
      status.push_back({State::kBlocked, "an input is missing"});
      continue;
    }
    const auto run = store ? store->FindRun(cell.fingerprint) : std::nullopt;
    const bool untouched = !run || (run->state.attempt == 0 && rerun != Rerun::kAll);
    status.push_back(untouched ? NewCell(records[i], earlier)
                               : KnownCell(cell, *run, *store, rerun));
  }
  return status;
}

std::string PlanText(const ExperimentSpec& spec, const ExperimentPlan& plan,
                     const std::vector<CellStatus>& status) {
  std::string text =
      fmt::format("{}{}: {}\n", spec.name,
                  spec.profile.empty() ? "" : fmt::format(" ({})", spec.profile), spec.title);
  size_t width = 0;
  for (const PlannedCell& cell : plan.cells) width = std::max(width, cell.name.size());
  std::map<State, int> counts;
  for (size_t i = 0; i < plan.cells.size(); ++i) {
    const PlannedCell& cell = plan.cells[i];
    ++counts[status[i].state];
    std::string line = fmt::format("  {:<7}  {:<{}}  {:<8}  {}", Word(status[i].state), cell.name,
                                   width, cell.fingerprint.substr(0, 8), status[i].reason);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  std::vector<std::string> parts;
  for (const auto& [state, count] : counts)
    parts.push_back(fmt::format("{} {}", count, Word(state)));
  return text + fmt::format("{} cells: {}\n", plan.cells.size(), Join(parts, ", "));
}

}  // namespace condense
