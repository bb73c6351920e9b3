// The contents of the results database as plain structs. SQL and its types stay inside src/results.
//
// A *run* is one cell of an experiment: one model, compressed by one method with one setting. A
// *stage* is a step of it (calibrate, compress, evaluate, ...), identified by a digest of
// everything it depends on. Several runs may share a stage. Metrics, samples and layers belong to
// the stage that computed them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "results/samples.h"
#include "stats/metric.h"

namespace condense {

enum class WorkStatus { kPlanned, kRunning, kDone, kFailed, kStale };
const char* ToText(WorkStatus status);  // "planned", "running", "done", "failed", "stale"

// The process that is working on a run or a stage.
struct Owner {
  std::string host;
  int64_t pid = 0;
  std::string process;  // distinguishes it from a later process with the same pid; see process.h
};

// The state that runs and stages have in common. Only the store writes it.
struct WorkState {
  WorkStatus status = WorkStatus::kPlanned;
  int attempt = 0;
  // A finished result exists, even while the work is being repeated.
  bool has_result = false;
  std::optional<int64_t> environment_id;
  std::optional<Owner> owner;  // of the running work; afterwards, who finished it
  int64_t heartbeat = 0;       // seconds since 1970 (UTC)
  std::string error_class, error_message;
  std::string started, finished;  // UTC; empty if not yet
};

struct ExperimentRecord {
  int64_t id = 0;
  std::string name, profile, title;
  std::string spec;  // canonical text
  std::string file;  // as the user named it
};

struct RunRecord {
  int64_t id = 0;
  std::string fingerprint;  // content key, unique
  std::string canonical;    // the text whose digest the fingerprint is
  std::string model, dtype;
  std::string method;                   // registered name
  std::string method_params;            // canonical text
  std::optional<double> nominal_ratio;  // none for dense
  std::string match;                    // nominal, block, total, total_abs; empty for dense
  std::string calibration;              // id of protocols.md 2; empty if the method needs none
  std::optional<int64_t> seed;
  WorkState state;
};

// The digest of a file or text that a run depends on. `kind` is weights, config, tokenizer, data,
// calibration, ...
struct InputRecord {
  std::string kind, name, sha256;
  std::optional<int64_t> bytes;
};

// A run as part of an experiment.
struct ExperimentCell {
  RunRecord run;
  std::string label;   // the experiment's name for the method, if not the registered one
  std::string origin;  // "experiments/table1.yaml:12"
  // The further axes of the experiment and this cell's values; kAxisOff where one does not apply.
  std::map<std::string, std::string> axes;
  std::vector<InputRecord> inputs;  // read by RegisterExperiment; CellsOfExperiment leaves it empty
};
inline constexpr const char* kAxisOff = "none";

struct StageRecord {
  int64_t id = 0;
  std::string key;   // content key, unique
  std::string kind;  // calibrate, compress, save, evaluate, ...
  std::string name;  // as shown: "evaluate bundled-256"
  std::optional<double> seconds;
  std::optional<int64_t> peak_rss_bytes;
  std::string artefact;  // path relative to the results folder
  std::string artefact_sha256;
  bool cached = false;  // as part of a run: it was computed earlier, for another run
  WorkState state;
};

struct MetricRecord {
  std::string stage_key;  // filled by queries
  std::string protocol;   // id of a registered protocol
  std::string task;       // for metrics of one task among several, else empty
  std::string metric;     // perplexity, acc_norm, total-params, ...
  double value = 0;       // never NaN
  std::optional<double> standard_error;
  std::optional<int64_t> count;  // windows, documents, ... behind the value
  std::string unit;
  // Digest of what was scored (ids, requests). Values of one model with different digests are not
  // comparable.
  std::string basis;
};

// A value of a metric of the catalogue. The caller adds error, count and basis where there are any.
MetricRecord RecordOf(const Metric& metric, double value, std::string protocol,
                      std::string task = "");

// Raw per-window losses, per-document scores, calibration ids.
struct SampleRecord {
  std::string protocol, task, name;  // "bundled-256", "", "window_nll"
  SampleArray values;
};

// The samples of a stage on one task or text under one protocol.
struct StoredSamples {
  std::string stage_key, protocol, task;
  std::string basis;  // as its metrics have it: the digest of what was scored
  std::vector<SampleRecord> records;
};

struct LayerRecord {
  int layer = 0;
  std::string qk_widths, vo_widths, mlp_widths;  // "96", or "96,88" where heads are uneven
  std::string kept_sha256;                       // of the kept indices
  std::optional<double> damping, condition, relative_error, seconds;
  std::string allocation = "{}";  // JSON: removed fraction by module
  // Query heads and key/value heads; none in layers stored by older versions.
  std::optional<int64_t> heads, kv_heads;
  std::string ranks = "{}";  // JSON: rank of each linear map stored as two factors
};

struct EnvironmentRecord {
  int64_t id = 0;
  std::string git_revision;
  bool git_dirty = false;
  std::string binary_sha256, libtorch, compiler, build_type;
  std::string host, cpu, device;
  int cores = 0, threads = 0;
  int64_t memory_bytes = 0;
  std::string details = "{}";  // JSON: CUDA, driver, BLAS, TF32 and determinism flags, ...
};

// Host, CPU, memory, cores and compiler of this process; the rest is for the caller.
EnvironmentRecord DescribeMachine();

struct ProtocolRecord {
  std::string id;
  std::string params;  // JSON, keys in canonical order
  std::string sha256;  // of params
};

// Everything the database holds about one cell, for `runner show`.
struct CellDetail {
  struct Membership {
    ExperimentRecord experiment;
    std::string label, origin;
    std::map<std::string, std::string> axes;
  };
  struct SampleSummary {
    std::string stage_key, protocol, task, name;
    int64_t stored_bytes = 0;
  };
  RunRecord run;
  std::vector<Membership> experiments;
  std::vector<InputRecord> inputs;
  std::vector<StageRecord> stages;
  std::vector<EnvironmentRecord> environments;  // of the run and of its stages, each once
  std::vector<ProtocolRecord> protocols;        // of its metrics
  std::vector<MetricRecord> metrics;
  std::vector<LayerRecord> layers;
  std::vector<SampleSummary> samples;
};

}  // namespace condense
