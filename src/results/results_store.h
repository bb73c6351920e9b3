// The results database: what is planned, who works on it, and every number that came out.
//
// One SQLite file in write-ahead mode. A finished stage is written in one transaction, so that
// killing the program at any moment loses nothing that was finished, and a second start asks
// FindStage() and goes on. Several processes may work on one database: work is claimed before it is
// done, a claim whose process has died is taken over, a live one is reported. Doubles are stored
// bit for bit; rounding is the business of report/.
//
// Every function throws DataError when the database cannot be read or written. A store is used by
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
  // A claim from another machine or container is abandoned after this much silence.
  std::chrono::seconds stale_after = std::chrono::minutes(10);
  std::chrono::milliseconds heartbeat_every = std::chrono::seconds(30);
};

// Whether finished work is to be repeated. Planned and stale work always is taken.
struct ClaimPolicy {
  bool retake_failed = false;
  bool retake_done = false;
};

struct Claim {
  enum class Outcome {
    kClaimed,  // it is ours until it is finished, failed or released
    kDone,
    kFailed,  // and the policy leaves it alone
    kHeld,    // another live process works on it
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

// What a finished stage leaves behind.
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
  // kWrite creates the file and its folder, or brings an older one up to date. kRead changes
  // nothing, reads an older one as it is, and works in a read-only folder. DataError if the file is
  // not a results database, is of a newer version, is missing (kRead) or cannot be written
  // (kWrite).
  static ResultsStore Open(const std::filesystem::path& path, OpenMode mode,
                           StoreOptions options = {});
  // Releases what is still claimed.
  ~ResultsStore();
  ResultsStore(ResultsStore&&) noexcept;
  ResultsStore& operator=(ResultsStore&&) = delete;

  const std::filesystem::path& path() const;

  // --- Registration
  // -------------------------------------------------------------------------------

  // Stores the experiment, its cells in this order (new ones as planned) and their inputs. Cells
  // that another experiment has planned or finished are shared. Returns the experiment's id. The
  // same name, profile and spec give the same id.
  int64_t RegisterExperiment(const ExperimentRecord& experiment,
                             const std::vector<ExperimentCell>& cells);
  int64_t RegisterEnvironment(const EnvironmentRecord& environment);
  // An id is frozen (protocols.md 0.2): ConfigError if it is stored with other parameters.
  void RegisterProtocol(const std::string& id, const std::string& params_json);

  // --- Work
  // ---------------------------------------------------------------------------------------

  // The run must have been registered. A claim by this store is granted again.
  Claim ClaimRun(const std::string& fingerprint, int64_t environment_id, ClaimPolicy policy = {});
  void FinishRun(int64_t run_id);
  void FailRun(int64_t run_id, const std::string& error_class, const std::string& message);

  // Creates the stage if it is new, links it to the run and claims it.
  Claim ClaimStage(int64_t run_id, const StagePlan& stage, int64_t environment_id,
                   ClaimPolicy policy = {});
  // One transaction. Returns false, and writes nothing, if the claim is no longer ours (another
  // process believed us dead). NumericError for a metric that is NaN: it must fail its cell
  // instead.
  bool FinishStage(int64_t stage_id, const StageResult& result);
  void FailStage(int64_t stage_id, const std::string& error_class, const std::string& message);

  // Keeps a part of the work of a claimed stage, such as a batch of documents, so that whoever goes
  // on after an interrupt need not repeat it. One transaction. Returns false, and writes nothing,
  // if the claim is no longer ours. Finishing the stage removes its parts; failing it keeps them
  // for the next attempt.
  bool KeepPart(int64_t stage_id, const std::vector<SampleRecord>& part);
  // In the order in which they were kept; each call of KeepPart is one entry.
  std::vector<std::vector<SampleRecord>> PartsOfStage(int64_t stage_id) const;

  // Gives back what this store has claimed and not finished; called on an interrupt.
  void ReleaseClaims();
  // Marks the running work of dead processes stale, or done where an older result exists. Returns
  // how much there was.
  int MarkStale();

  // --- Queries
  // ------------------------------------------------------------------------------------

  // The experiment of that name and profile which was registered last.
  std::optional<ExperimentRecord> FindExperiment(const std::string& name,
                                                 const std::string& profile) const;
  std::vector<ExperimentRecord> ListExperiments() const;  // oldest first
  std::vector<ExperimentCell> CellsOfExperiment(int64_t experiment_id) const;
  std::optional<RunRecord> FindRun(const std::string& fingerprint) const;
  // Its work need not be done again if `state.status` is kDone.
  std::optional<StageRecord> FindStage(const std::string& key) const;
  std::vector<StageRecord> StagesOfRun(int64_t run_id) const;
  // Of all stages of the run that have a result and did not fail since. Where several stages
  // measured the same, the last one counts: a transform changes what its compression counted.
  std::vector<MetricRecord> MetricsOfRun(int64_t run_id) const;
  std::optional<SampleArray> FindSamples(const std::string& stage_key, const std::string& protocol,
                                         const std::string& task, const std::string& name) const;
  // All samples of the stages that MetricsOfRun() reads, an entry for each stage, protocol and
  // task.
  std::vector<StoredSamples> SamplesOfRun(int64_t run_id) const;
  std::vector<StoredSamples> SamplesOfStage(const std::string& stage_key) const;
  // `fingerprint` may be a prefix. ConfigError if no cell or several cells begin so.
  CellDetail DescribeCell(std::string_view fingerprint) const;

  // --- Digests of large files
  // -----------------------------------------------------------------------

  // SHA-256 of a file, hashed anew only if its size or modification time has changed.
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
