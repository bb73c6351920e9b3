#include "results/results_store.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/system.h"
#include "results/heartbeat.h"
#include "results/process.h"
#include "results/rows.h"
#include "results/schema.h"

namespace condense {
namespace {

// Every SQLite file begins with these 16 bytes, the last one being zero.
constexpr std::string_view kSqliteMagic("SQLite format 3\0", 16);

// Checks the file before SQLite does, for clearer messages.
void RequireDatabaseFile(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) {
    throw MakeError<DataError>("{}: is a folder, expected a results database", path.string());
  }
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw MakeError<DataError>("{}: cannot be opened; check the permissions", path.string());
  std::string head(kSqliteMagic.size(), '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  if (file.gcount() == 0) return;  // an empty file is an empty database
  if (file.gcount() < static_cast<std::streamsize>(head.size()) || head != kSqliteMagic) {
    throw MakeError<DataError>(
        "{}: is not a results database (not a SQLite file); move it away, or choose another file "
        "with "
        "--db",
        path.string());
  }
}

void RequireWritableFile(const std::filesystem::path& path) {
  RequireWritable(path.parent_path());
  if (std::filesystem::exists(path) && ::access(path.c_str(), W_OK) != 0) {
    throw MakeError<DataError>(
        "{}: is read-only; check the permissions, or choose another file with "
        "--db",
        path.string());
  }
}

std::string EnvironmentDigest(const EnvironmentRecord& environment) {
  std::string text;
  for (const SqlColumn& column : ColumnsOf(environment)) {
    text += fmt::format("{}=", column.name);
    if (const auto* number = std::get_if<int64_t>(&column.value.variant())) {
      text += fmt::format("{}\n", *number);
    } else {
      const auto& string = std::get<std::string>(column.value.variant());
      text += fmt::format("{}:{}\n", string.size(), string);
    }
  }
  return Sha256Hex(text);
}

int64_t InsertRun(Database& database, const RunRecord& run) {
  database.Insert("runs",
                  {{"fingerprint", run.fingerprint},
                   {"canonical", run.canonical},
                   {"model", run.model},
                   {"dtype", run.dtype},
                   {"method", run.method},
                   {"method_params", run.method_params},
                   {"nominal_ratio", run.nominal_ratio},
                   {"match", run.match},
                   {"calibration", run.calibration},
                   {"seed", run.seed}},
                  "ON CONFLICT (fingerprint) DO NOTHING");
  return database.Integer("SELECT id FROM runs WHERE fingerprint = ?1", {run.fingerprint}).value();
}

void InsertInput(Database& database, int64_t run_id, const InputRecord& input) {
  database.Insert("inputs",
                  {{"run_id", run_id},
                   {"kind", input.kind},
                   {"name", input.name},
                   {"sha256", input.sha256},
                   {"bytes", input.bytes}},
                  "ON CONFLICT (run_id, kind, name) DO UPDATE SET sha256 = excluded.sha256, "
                  "bytes = excluded.bytes");
}

}  // namespace

ResultsStore::ResultsStore(std::unique_ptr<Database> database, StoreOptions options, bool writable)
    : database_(std::move(database)), options_(options) {
  if (writable) self_ = NewOwner();
}

ResultsStore::ResultsStore(ResultsStore&&) noexcept = default;

ResultsStore::~ResultsStore() {
  if (database_ == nullptr || heartbeat_ == nullptr) return;  // moved from, or nothing was claimed
  heartbeat_.reset();
  try {
    ReleaseClaims();
  } catch (const Error& error) {
    // The next start finds that the claims have expired.
    LogDebug("releasing claims: {}", error.what());
  }
}

ResultsStore ResultsStore::Open(const std::filesystem::path& path, OpenMode mode,
                                StoreOptions options) {
  const bool writable = mode == OpenMode::kWrite;
  if (std::filesystem::exists(path)) {
    RequireDatabaseFile(path);
  } else if (!writable) {
    throw MakeError<DataError>(
        "{}: there is no results database; run an experiment first, or choose one with --db",
        path.string());
  }
  if (writable) RequireWritableFile(path);
  auto database = std::make_unique<Database>(
      path, writable ? Database::Access::kCreate : Database::Access::kRead, options.busy_timeout);
  if (writable) {
    Migrate(*database);
    database->UseWriteAheadLog(options.busy_timeout);
  } else {
    RequireReadableVersion(*database);
  }
  return ResultsStore(std::move(database), options, writable);
}

const std::filesystem::path& ResultsStore::path() const { return database_->path(); }

int64_t ResultsStore::RegisterExperiment(const ExperimentRecord& experiment,
                                         const std::vector<ExperimentCell>& cells) {
  const std::string digest = Sha256Hex(experiment.spec);
  Transaction transaction(*database_);
  const int64_t sequence =
      database_->Integer("SELECT max(sequence) FROM experiments").value_or(0) + 1;
  database_->Insert(
      "experiments",
      {{"name", experiment.name},
       {"profile", experiment.profile},
       {"title", experiment.title},
       {"spec", experiment.spec},
       {"spec_sha256", digest},
       {"file", experiment.file},
       {"sequence", sequence},
       {"registered", UtcNow()}},
      "ON CONFLICT (name, profile, spec_sha256) DO UPDATE SET title = excluded.title, "
      "file = excluded.file, sequence = excluded.sequence, "
      "registered = excluded.registered");
  const int64_t id = database_
                         ->Integer(
                             "SELECT id FROM experiments WHERE name = ?1 AND profile = ?2 AND "
                             "spec_sha256 = ?3",
                             {experiment.name, experiment.profile, digest})
                         .value();
  database_->Run("DELETE FROM experiment_cells WHERE experiment_id = ?1", {id});
  int64_t position = 0;
  for (const ExperimentCell& cell : cells) {
    const int64_t run_id = InsertRun(*database_, cell.run);
    database_->Insert("experiment_cells", {{"experiment_id", id},
                                           {"position", position},
                                           {"run_id", run_id},
                                           {"label", cell.label},
                                           {"origin", cell.origin}});
    for (const auto& [name, value] : cell.axes) {
      database_->Insert(
          "cell_axes",
          {{"experiment_id", id}, {"position", position}, {"name", name}, {"value", value}});
    }
    ++position;
    for (const InputRecord& input : cell.inputs) InsertInput(*database_, run_id, input);
  }
  transaction.Commit();
  return id;
}

int64_t ResultsStore::RegisterEnvironment(const EnvironmentRecord& environment) {
  const std::string digest = EnvironmentDigest(environment);
  std::vector<SqlColumn> columns = ColumnsOf(environment);
  columns.push_back({"sha256", digest});
  database_->Insert("environment", columns, "ON CONFLICT (sha256) DO NOTHING");
  return database_->Integer("SELECT id FROM environment WHERE sha256 = ?1", {digest}).value();
}

void ResultsStore::RegisterProtocol(const std::string& id, const std::string& params_json) {
  const std::string digest = Sha256Hex(params_json);
  database_->Insert("protocols", {{"id", id}, {"params", params_json}, {"sha256", digest}},
                    "ON CONFLICT (id) DO NOTHING");
  ProtocolRecord stored;
  database_->ForEach("SELECT * FROM protocols WHERE id = ?1", {id}, [&](const SqlRow& row) {
    stored = {id, row.Text("params"), row.Text("sha256")};
  });
  if (stored.sha256 == digest) return;
  throw MakeError<ConfigError>(
      "protocol '{}' is stored in {} with other parameters, and a protocol id is frozen: give the "
      "changed protocol a new id, or use another database (--db)\n  stored: {} (SHA-256 {})\n  "
      "now:   "
      " {} (SHA-256 {})",
      id, path().string(), stored.params, stored.sha256, params_json, digest);
}

std::string ResultsStore::FileDigest(const std::filesystem::path& file) {
  const auto inspect = [&] {
    struct stat info {};
    if (::stat(file.c_str(), &info) != 0) {
      throw MakeError<DataError>("{}: cannot be read: {}", file.string(), std::strerror(errno));
    }
    return std::pair(static_cast<int64_t>(info.st_size),
                     int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec);
  };
  const std::string key = std::filesystem::weakly_canonical(file).string();
  const auto before = inspect();
  std::string digest;
  database_->ForEach(
      "SELECT sha256 FROM file_digests WHERE path = ?1 AND size = ?2 AND mtime_ns = ?3",
      {key, before.first, before.second}, [&](const SqlRow& row) { digest = row.Text("sha256"); });
  if (!digest.empty()) return digest;
  digest = Sha256File(file);
  if (inspect() != before) {
    throw MakeError<DataError>("{}: changed while it was read; start again once it is complete",
                               file.string());
  }
  database_->Insert(
      "file_digests",
      {{"path", key}, {"size", before.first}, {"mtime_ns", before.second}, {"sha256", digest}},
      "ON CONFLICT (path) DO UPDATE SET size = excluded.size, "
      "mtime_ns = excluded.mtime_ns, sha256 = excluded.sha256");
  return digest;
}

}  // namespace condense
