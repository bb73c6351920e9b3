#include "experiment/run/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/strings.h"
#include "base/system.h"
#include "experiment/run/cell_records.h"
#include "experiment/run/cell_work.h"
#include "experiment/run/environment.h"

namespace condense {
namespace {

constexpr std::chrono::milliseconds kPoll(500);

struct Failure {
  std::string error_class, message;
};

// Runs `work`; an error that concerns this cell alone is returned.
template <class Work>
std::optional<Failure> Guarded(const Work& work) {
  try {
    work();
    return std::nullopt;
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    return Failure{error.Class(), error.what()};
  } catch (const std::bad_alloc&) {
    return Failure{"memory", "out of memory"};
  } catch (const std::exception& error) {
    return Failure{"internal", Split(error.what(), '\n').front()};
  }
}

class Sweep {
 public:
  Sweep(const ExperimentSpec& spec, const ExperimentPlan& plan, InputResolver& inputs,
        ResultsStore& store, const SweepOptions& options)
      : spec_(spec),
        plan_(plan),
        store_(store),
        options_(options),
        bench_(spec, inputs,
               {.load = {.dtype = spec.dtype, .device = OpenDevice(options.device)},
                .statistics_folder = options.results / "cache" / "statistics"}),
        repeated_(options.repeated ? *options.repeated : own_repeated_) {}

  SweepOutcome Run(std::vector<size_t> pending) {
    CheckModels(pending);
    environment_ = store_.RegisterEnvironment(DescribeEnvironment(bench_.load().device));
    total_ = pending.size();
    Progress progress(spec_.name, static_cast<int64_t>(total_), "cells");
    while (!pending.empty() && !stopped_) {
      const size_t before = pending.size();
      std::vector<size_t> held;
      for (const size_t cell : pending) {
        CheckInterrupt();
        if (Attempt(plan_.cells[cell])) {
          progress.Advance();
        } else {
          held.push_back(cell);
        }
        if (stopped_) break;
      }
      if (held.size() == before) Wait(plan_.cells[held.front()]);
      pending = std::move(held);
    }
    return outcome_;
  }

 private:
  void CheckModels(const std::vector<size_t>& pending) {
    std::set<size_t> models;
    for (const size_t cell : pending) models.insert(plan_.cells[cell].setting.model);
    for (const size_t model : models) bench_.Check(model);
  }

  // False while another process works on the cell.
  bool Attempt(const PlannedCell& cell) {
    const Claim claim =
        store_.ClaimRun(cell.fingerprint, environment_,
                        {.retake_failed = options_.rerun != Rerun::kNothing, .retake_done = true});
    if (claim.outcome == Claim::Outcome::kHeld) return false;
    if (claim.outcome == Claim::Outcome::kFailed) return true;
    if (claim.took_over) LogInfo("{}: taking over from a process that has ended", cell.name);
    const Progress progress(cell.name);
    const Stopwatch watch;
    CellWork work(bench_, spec_, cell, options_.results);
    for (const PlannedStage& stage : cell.stages) {
      const std::optional<Failure> failure = RunStage(claim.id, cell, stage, work);
      if (!failure) continue;
      store_.FailRun(claim.id, failure->error_class, failure->message);
      Report(cell, fmt::format("failed ({}): {}", failure->error_class, failure->message));
      ++outcome_.failed;
      stopped_ = options_.fail_fast;
      return true;
    }
    store_.FinishRun(claim.id);
    work.Discard([&](const PlannedModel& model) { return NeededByOthers(model, cell); });
    ++outcome_.computed;
    Report(cell, fmt::format("{} ({})", Summary(claim.id), HumanDuration(watch.Seconds())));
    return true;
  }

  std::optional<Failure> RunStage(int64_t run, const PlannedCell& cell, const PlannedStage& stage,
                                  CellWork& work) {
    const Claim claim = ClaimStage(run, stage);
    if (claim.outcome == Claim::Outcome::kDone) {
      work.Note(stage, store_.FindStage(stage.key).value());
      return std::nullopt;
    }
    LogDebug("{}: {}", cell.name, stage.Name());
    StageResult result;
    std::optional<Failure> failure = Guarded([&] {
      const auto keep = [&](const std::vector<SampleRecord>& part) {
        // Refused when another process has taken over; FinishStage then refuses the rest too.
        store_.KeepPart(claim.id, part);
      };
      result = work.Run(stage, {store_.PartsOfStage(claim.id), keep});
    });
    if (!failure) {
      try {
        store_.FinishStage(claim.id, result);
      } catch (const NumericError& error) {
        failure = Failure{error.Class(), error.what()};
      }
    }
    if (failure) store_.FailStage(claim.id, failure->error_class, failure->message);
    repeated_.insert(stage.key);
    return failure;
  }

  // Whether another cell is made from this model and has no result yet.
  bool NeededByOthers(const PlannedModel& model, const PlannedCell& done) const {
    const auto waits = [&](const PlannedCell& cell) {
      const auto same = [&](const PlannedModel& other) {
        return other.fingerprint == model.fingerprint;
      };
      if (cell.fingerprint == done.fingerprint ||
          std::none_of(cell.models.begin(), cell.models.end(), same)) {
        return false;
      }
      const auto run = store_.FindRun(cell.fingerprint);
      return !run || !run->state.has_result;
    };
    return std::any_of(plan_.cells.begin(), plan_.cells.end(), waits);
  }

  // A stage that another cell shares may be in other hands for a moment.
  Claim ClaimStage(int64_t run, const PlannedStage& stage) {
    const bool again = options_.rerun == Rerun::kAll && !repeated_.contains(stage.key);
    while (true) {
      const Claim claim =
          store_.ClaimStage(run, {stage.key, stage.kind, stage.Name()}, environment_,
                            {.retake_failed = true, .retake_done = again});
      if (claim.outcome != Claim::Outcome::kHeld) return claim;
      CheckInterrupt();
      std::this_thread::sleep_for(kPoll);
    }
  }

  void Wait(const PlannedCell& cell) {
    if (!waiting_) LogInfo("{}: another process is computing it; waiting", cell.name);
    waiting_ = true;
    CheckInterrupt();
    std::this_thread::sleep_for(kPoll);
  }

  // "perplexity 98.31, block-params 20.1%" of the evaluations.
  std::string Summary(int64_t run) const {
    std::vector<std::string> parts;
    for (const MetricRecord& metric : store_.MetricsOfRun(run)) {
      if (metric.metric == "perplexity" || metric.metric == "block-params") {
        parts.push_back(fmt::format(
            "{} {}", metric.metric,
            FormatNumber(metric.value, DescribeMetric(metric.metric, metric.unit).format)));
      }
    }
    std::reverse(parts.begin(), parts.end());
    return Join(parts, ", ");
  }

  void Report(const PlannedCell& cell, const std::string& text) {
    ++reported_;
    const double left = watch_.Seconds() / static_cast<double>(reported_) *
                        static_cast<double>(total_ - std::min(reported_, total_));
    LogInfo("[{}/{}] {}: {}{}", reported_, total_, cell.name, text,
            left > 10 ? fmt::format("; about {} left", HumanDuration(left)) : "");
  }

  const ExperimentSpec& spec_;
  const ExperimentPlan& plan_;
  ResultsStore& store_;
  const SweepOptions& options_;
  Workbench bench_;
  int64_t environment_ = 0;
  std::set<std::string> own_repeated_;
  std::set<std::string>& repeated_;  // keys of stages
  SweepOutcome outcome_;
  Stopwatch watch_;
  size_t total_ = 0, reported_ = 0;
  bool stopped_ = false, waiting_ = false;
};

}  // namespace

int64_t RegisterPlan(const ExperimentSpec& spec, const ExperimentPlan& plan, ResultsStore& store) {
  for (const Component<Evaluator>& evaluator : spec.evaluators) {
    for (const EvaluationStage& stage : evaluator->Stages()) {
      store.RegisterProtocol(stage.protocol, evaluator->ProtocolParams(stage));
    }
  }
  for (const TransformAxis& axis : spec.transforms) {
    store.RegisterProtocol(axis.name, fmt::format(R"({{"transform":{}}})", JsonString(axis.name)));
  }
  for (const OwnProtocol& own : {kParameters, kCost, kCalibration, kModuleReport}) {
    store.RegisterProtocol(own.id, own.params);
  }
  return store.RegisterExperiment(ExperimentRecordOf(spec), CellRecords(spec, plan));
}

SweepOutcome RunSweep(const ExperimentSpec& spec, const ExperimentPlan& plan, InputResolver& inputs,
                      ResultsStore& store, const SweepOptions& options) {
  store.MarkStale();
  const std::vector<CellStatus> status = StatusOf(spec, plan, &store, options.rerun);
  std::vector<size_t> pending;
  int failed_before = 0;
  for (const size_t cell : WorkOrder(spec, plan)) {
    const CellStatus::State state = status[cell].state;
    if (state == CellStatus::State::kFailed) ++failed_before;
    if (state == CellStatus::State::kToDo || state == CellStatus::State::kRunning) {
      pending.push_back(cell);
    }
  }
  SweepOutcome outcome;
  if (!pending.empty()) {
    RequireWritable(options.results);
    ConfigureTorch(options.threads);
    outcome = Sweep(spec, plan, inputs, store, options).Run(std::move(pending));
  }
  outcome.failed += failed_before;
  return outcome;
}

}  // namespace condense
