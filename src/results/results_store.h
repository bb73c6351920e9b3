// The results database: planned work, who is working on it, and every number that was measured.
//
// One SQLite file in write-ahead mode. A finished stage is written in one transaction, so killing
// the program at any moment loses no finished stage, and the next start resumes after the stages
// that FindStage() reports as done. Several processes may share one database: a process claims work
// before it starts. The claim of a dead process is taken over; that of a live one is reported.
// Doubles are stored bit for bit; only report/ rounds.
//
// Every function throws DataError when the database cannot be read or written. A store belongs to
// one thread; other threads open their own. The file must lie on a local disk (write-ahead logging
// does not work over a network file system).
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "results/records.h"

namespace condense {

class Database;
class Heartbeat;

enum class OpenMode { kRead, kWrite };

struct StoreOptions {
  std::chrono::milliseconds busy_timeout = std::chrono::seconds(60);
  // A claim from another machine or container expires after this long without a heartbeat.
  std::chrono::seconds stale_after = std::chrono::minutes(10);
  std::chrono::milliseconds heartbeat_every = std::chrono::seconds(30);
};

// Which finished work is repeated. Planned and stale work can always be claimed.
struct ClaimPolicy {
  bool retake_failed = false;
  bool retake_done = false;
};

struct Claim {
  enum class Outcome {
    kClaimed,  // it is ours until it is finished, failed or released
    kDone,
    kFailed,  // and the policy does not repeat it
    kHeld,    // another live process is working on it
  };
  Outcome outcome = Outcome::kClaimed;
  int64_t id = 0;          // of the run or stage
  WorkState state;         // after the claim; the holder is in state.owner
  bool took_over = false;  // from a process that died
};

// A stage as the plan lists it.
struct StagePlan {
  std::string key, kind, name;
};

// The results of a finished stage.
struct StageResult {
  double seconds = 0;
  std::optional<int64_t> peak_rss_bytes;
  std::string artefact, artefact_sha256;
  std::vector<MetricRecord> metrics;  // stage_key need not be set
  std::vector<SampleRecord> samples;
  std::vector<LayerRecord> layers;
};

class ResultsStore {
 public:
  // kWrite creates the file and its folder, or upgrades the schema of an older file. kRead changes
  // nothing, reads an older file as it is, and works in a read-only folder. DataError if the file
  // is not a results database, has a newer schema, is missing (kRead) or cannot be written
  // (kWrite).
  static ResultsStore Open(const std::filesystem::path& path, OpenMode mode,
                           StoreOptions options = {});
  // Releases all claims on unfinished work.
  ~ResultsStore();
  ResultsStore(ResultsStore&&) noexcept;
  ResultsStore& operator=(ResultsStore&&) = delete;

  const std::filesystem::path& path() const;

  // --- Registration ---

  // Stores the experiment, its cells in this order (new ones as planned) and their inputs. Cells
  // that another experiment has planned or finished are shared. Returns the experiment's id. The
  // same name, profile and spec give the same id.
  int64_t RegisterExperiment(const ExperimentRecord& experiment,
                             const std::vector<ExperimentCell>& cells);
  int64_t RegisterEnvironment(const EnvironmentRecord& environment);
  // Ids are frozen (protocols.md 0.2): ConfigError if this id is stored with other parameters.
  void RegisterProtocol(const std::string& id, const std::string& params_json);

  // --- Work ---

  // The run must have been registered. Claiming a run again that this store holds succeeds.
  Claim ClaimRun(const std::string& fingerprint, int64_t environment_id, ClaimPolicy policy = {});
  void FinishRun(int64_t run_id);
  void FailRun(int64_t run_id, const std::string& error_class, const std::string& message);

  // Creates the stage if it is new, links it to the run and claims it.
  Claim ClaimStage(int64_t run_id, const StagePlan& stage, int64_t environment_id,
                   ClaimPolicy policy = {});
  // One transaction. Returns false, and writes nothing, if this store has lost the claim (another
  // process considered it dead). NumericError for a metric that is NaN; the caller fails the stage.
  bool FinishStage(int64_t stage_id, const StageResult& result);
  void FailStage(int64_t stage_id, const std::string& error_class, const std::string& message);

  // Stores a part of a claimed stage, such as a batch of documents, so that an interrupted stage
  // resumes after it. One transaction. Returns false, and writes nothing, if this store has lost
  // the claim. Finishing the stage deletes its parts; failing it keeps them for the next attempt.
  bool KeepPart(int64_t stage_id, const std::vector<SampleRecord>& part);
  // In the order in which they were stored, one entry per call of KeepPart.
  std::vector<std::vector<SampleRecord>> PartsOfStage(int64_t stage_id) const;

  // Releases the claims of this store on unfinished work; called on an interrupt.
  void ReleaseClaims();
  // Marks the running work of dead processes as stale, or as done where an older result exists.
  // Returns the number of runs and stages marked.
  int MarkStale();

  // --- Queries ---

  // The most recently registered experiment with this name and profile.
  std::optional<ExperimentRecord> FindExperiment(const std::string& name,
                                                 const std::string& profile) const;
  std::vector<ExperimentRecord> ListExperiments() const;  // oldest first
  std::vector<ExperimentCell> CellsOfExperiment(int64_t experiment_id) const;
  std::optional<RunRecord> FindRun(const std::string& fingerprint) const;
  // The stage is finished if `state.status` is kDone.
  std::optional<StageRecord> FindStage(const std::string& key) const;
  std::vector<StageRecord> StagesOfRun(int64_t run_id) const;
  // Of all stages of the run that have a result and have not failed since. Where several stages
  // stored the same metric, the last stage counts: a transform replaces what its compression
  // stored.
  std::vector<MetricRecord> MetricsOfRun(int64_t run_id) const;
  std::optional<SampleArray> FindSamples(const std::string& stage_key, const std::string& protocol,
                                         const std::string& task, const std::string& name) const;
  // All samples of the stages that MetricsOfRun() reads, one entry per stage, protocol and task.
  std::vector<StoredSamples> SamplesOfRun(int64_t run_id) const;
  std::vector<StoredSamples> SamplesOfStage(const std::string& stage_key) const;
  // `fingerprint` may be a prefix. ConfigError if it fits no cell, or several.
  CellDetail DescribeCell(std::string_view fingerprint) const;

  // --- Digests of large files ---

  // SHA-256 of a file. It is computed again only if size or modification time have changed.
  std::string FileDigest(const std::filesystem::path& file);

 private:
  ResultsStore(std::unique_ptr<Database> database, StoreOptions options, bool writable);

  Claim TakeWork(const char* table, int64_t id, int64_t environment_id, ClaimPolicy policy);
  bool EndWork(const char* table, int64_t id, WorkStatus status, const std::string& error_class,
               const std::string& message);
  bool OwnsStage(int64_t stage_id) const;
  void WriteStageResult(int64_t stage_id, const StageResult& result);
  int64_t StageId(const StagePlan& stage);

  std::unique_ptr<Database> database_;
  StoreOptions options_;
  Owner self_;
  std::unique_ptr<Heartbeat> heartbeat_;
};

}  // namespace condense
