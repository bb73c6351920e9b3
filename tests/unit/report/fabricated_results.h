// A results database filled by hand: cells with scores of tasks and losses of windows.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "results/results_store.h"
#include "results/score_samples.h"
#include "stats/task_scores.h"
#include "support/temp_folder.h"

namespace condense {

// One letter a document: '1' is answered rightly, '0' wrongly, by every metric. Two choices; the
// right one is the first in even documents, the second in odd ones.
inline TaskScores FabricatedScores(const std::string& task, const std::string& answers,
                                   const std::string& protocol = "lmeval-bos") {
  TaskScores scores{.task = task, .protocol = protocol, .requests_sha256 = Sha256Hex(task)};
  for (size_t i = 0; i < answers.size(); ++i) {
    DocumentScore document;
    document.index = static_cast<int64_t>(i);
    document.sha256 = Sha256Hex(task + std::to_string(i));
    document.gold = static_cast<int64_t>(i % 2);
    for (int64_t c = 0; c < 2; ++c) {
      const bool chosen = (c == document.gold) == (answers[i] == '1');
      document.choices.push_back({chosen ? -1.0 : -2.0, 1, 4, 4, chosen});
    }
    scores.documents.push_back(std::move(document));
  }
  return scores;
}

// `right` of `count` answered rightly, spread evenly.
inline std::string Answers(int right, int count) {
  std::string answers;
  for (int i = 0; i < count; ++i) {
    answers += (i + 1) * right / count > i * right / count ? '1' : '0';
  }
  return answers;
}

class FabricatedResults {
 public:
  FabricatedResults() : store_(ResultsStore::Open(folder_.path() / "r.sqlite", OpenMode::kWrite)) {
    environment_ = store_.RegisterEnvironment(DescribeMachine());
  }

  ResultsStore& store() { return store_; }
  const std::filesystem::path& folder() const { return folder_.path(); }

  static RunRecord Run(const std::string& model, const std::string& method, double ratio = 0) {
    RunRecord run;
    run.model = model;
    run.dtype = "float32";
    run.method = method;
    run.fingerprint = model + "/" + method;
    if (method == "dense") return run;
    run.fingerprint += "/" + std::to_string(ratio).substr(0, 4);
    run.nominal_ratio = ratio;
    run.match = "block";
    run.calibration = "bundled-128x256";
    run.seed = 0;
    return run;
  }

  int64_t Register(const std::vector<RunRecord>& runs, const std::string& name = "table2",
                   const std::string& spec = "spec") {
    std::vector<ExperimentCell> cells;
    for (const RunRecord& run : runs) cells.push_back({run});
    return store_.RegisterExperiment({0, name, "", "title", spec, "file"}, cells);
  }

  void Add(const RunRecord& run, const TaskScores& scores) {
    StageResult result;
    for (const TaskMetric metric : {TaskMetric::kAcc, TaskMetric::kAccNorm}) {
      const TaskValue value = ValueOf(scores, metric);
      result.metrics.push_back({.protocol = scores.protocol,
                                .task = scores.task,
                                .metric = std::string(StoredName(metric)),
                                .value = value.value,
                                .standard_error = value.standard_error,
                                .count = value.count,
                                .basis = scores.requests_sha256});
    }
    result.samples = PackScores(scores);
    Finish(run, scores.protocol + " " + scores.task, result);
  }

  void AddLosses(const RunRecord& run, const std::string& protocol,
                 const std::vector<double>& losses) {
    double sum = 0;
    for (const double loss : losses) sum += loss;
    const double mean = sum / static_cast<double>(losses.size());
    const auto count = static_cast<int64_t>(losses.size());
    StageResult result;
    result.metrics = {{.protocol = protocol,
                       .metric = "perplexity",
                       .value = std::exp(mean),
                       .count = count,
                       .basis = "ids"},
                      {.protocol = protocol,
                       .metric = "nll",
                       .value = mean,
                       .standard_error = 0.01,
                       .count = count,
                       .basis = "ids"}};
    result.samples.push_back({protocol, "", "window_nll", {losses}});
    Finish(run, protocol, result);
  }

  void AddValue(const RunRecord& run, const std::string& protocol, const std::string& task,
                const std::string& metric, double value) {
    StageResult result;
    result.metrics = {{.protocol = protocol, .task = task, .metric = metric, .value = value}};
    Finish(run, protocol + " " + task + " " + metric, result);
  }

  void Finish(const RunRecord& run, const std::string& stage, const StageResult& result) {
    for (const MetricRecord& metric : result.metrics)
      store_.RegisterProtocol(metric.protocol, "{}");
    const Claim claim = store_.ClaimRun(run.fingerprint, environment_, {.retake_done = true});
    const Claim work = store_.ClaimStage(
        claim.id, {run.fingerprint + " " + stage, "evaluate", stage}, environment_);
    store_.FinishStage(work.id, result);
    store_.FinishRun(claim.id);
  }

 private:
  TempFolder folder_;
  ResultsStore store_;
  int64_t environment_ = 0;
};

}  // namespace condense
