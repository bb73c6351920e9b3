// A database in a folder of its own, with one experiment, one environment and two protocols.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "results/results_store.h"
#include "support/temp_folder.h"

namespace condense {

inline RunRecord SomeRun(const std::string& fingerprint, std::optional<double> ratio = 0.2) {
  RunRecord run;
  run.fingerprint = fingerprint;
  run.canonical = "method: modegpt\nratio: 0.2\n";
  run.model = "llama2-mini";
  run.dtype = "fp32";
  run.method = "modegpt";
  run.method_params = "{}";
  run.nominal_ratio = ratio;
  run.match = "block";
  run.calibration = "bundled-128x256";
  run.seed = 42;
  return run;
}

inline ExperimentRecord SomeExperiment(const std::string& name = "table1") {
  return {0, name, "bundled", "A table", "spec of " + name, "experiments/" + name + ".yaml"};
}

class StoreFolder {
 public:
  std::filesystem::path path() const { return folder_.path() / "results.sqlite"; }
  std::filesystem::path folder() const { return folder_.path(); }
  ResultsStore Open(StoreOptions options = {}) const {
    return ResultsStore::Open(path(), OpenMode::kWrite, options);
  }
  // Registers `fingerprints` as the cells of one experiment; returns the id of an environment.
  static int64_t Fill(ResultsStore& store, const std::vector<std::string>& fingerprints) {
    std::vector<ExperimentCell> cells;
    for (const std::string& fingerprint : fingerprints) cells.push_back({SomeRun(fingerprint)});
    store.RegisterExperiment(SomeExperiment(), cells);
    store.RegisterProtocol("bundled-256", R"({"window": 256})");
    store.RegisterProtocol("parameters", "{}");
    return store.RegisterEnvironment(DescribeMachine());
  }

 private:
  TempFolder folder_;
};

inline MetricRecord Perplexity(double value) {
  MetricRecord metric;
  metric.protocol = "bundled-256";
  metric.metric = "perplexity";
  metric.value = value;
  return metric;
}

// Runs `body` in a process of its own; returns how it ended. The body's exceptions end it with 99.
inline int RunInChild(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      body();
    } catch (const std::exception& error) {
      ::dprintf(2, "child: %s\n", error.what());
      ::_exit(99);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace condense
