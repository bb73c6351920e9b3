#include "results/schema.h"

#include <fmt/format.h>

#include "base/error.h"

namespace condense {
namespace {

constexpr int kApplicationId = 0x434e4453;  // "CNDS", tells these files from other SQLite databases

// Raise it with a migration that changes what queries read.
constexpr int kOldestReadable = 1;

// Work that a process claims: the columns that runs and stages share (WorkState). `has_result`
// stays set while finished work is repeated, so that nothing is lost if the repetition is killed.
constexpr const char* kWorkColumns = R"sql(
  status TEXT NOT NULL DEFAULT 'planned'
      CHECK (status IN ('planned', 'running', 'done', 'failed', 'stale')),
  attempt INTEGER NOT NULL DEFAULT 0,
  has_result INTEGER NOT NULL DEFAULT 0 CHECK (has_result IN (0, 1)),
  environment_id INTEGER REFERENCES environment (id),
  host TEXT, pid INTEGER, process TEXT,
  heartbeat INTEGER NOT NULL DEFAULT 0,
  error_class TEXT NOT NULL DEFAULT '', error_message TEXT NOT NULL DEFAULT '',
  started TEXT NOT NULL DEFAULT '', finished TEXT NOT NULL DEFAULT '',
  CHECK (status <> 'running' OR (host IS NOT NULL AND pid IS NOT NULL AND process IS NOT NULL))
)sql";

constexpr const char* kVersion1 = R"sql(
CREATE TABLE environment (
  id INTEGER PRIMARY KEY,
  sha256 TEXT NOT NULL UNIQUE,
  git_revision TEXT NOT NULL, git_dirty INTEGER NOT NULL,
  binary_sha256 TEXT NOT NULL, libtorch TEXT NOT NULL, compiler TEXT NOT NULL,
  build_type TEXT NOT NULL,
  host TEXT NOT NULL, cpu TEXT NOT NULL, device TEXT NOT NULL,
  cores INTEGER NOT NULL, threads INTEGER NOT NULL, memory_bytes INTEGER NOT NULL,
  details TEXT NOT NULL CHECK (json_valid(details))
) STRICT;

CREATE TABLE protocols (
  id TEXT NOT NULL PRIMARY KEY,
  params TEXT NOT NULL CHECK (json_valid(params)),
  sha256 TEXT NOT NULL
) STRICT;

CREATE TABLE experiments (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL, profile TEXT NOT NULL, title TEXT NOT NULL,
  spec TEXT NOT NULL, spec_sha256 TEXT NOT NULL, file TEXT NOT NULL,
  sequence INTEGER NOT NULL,  -- the largest one was registered last
  registered TEXT NOT NULL,
  UNIQUE (name, profile, spec_sha256)
) STRICT;

CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  fingerprint TEXT NOT NULL UNIQUE,
  canonical TEXT NOT NULL,
  model TEXT NOT NULL, dtype TEXT NOT NULL,
  method TEXT NOT NULL, method_params TEXT NOT NULL,
  nominal_ratio REAL, match TEXT NOT NULL,
  calibration TEXT NOT NULL, seed INTEGER,
  {work}
) STRICT;

CREATE TABLE experiment_cells (
  experiment_id INTEGER NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  run_id INTEGER NOT NULL REFERENCES runs (id),
  label TEXT NOT NULL, origin TEXT NOT NULL,
  PRIMARY KEY (experiment_id, position)
) STRICT;
CREATE INDEX experiment_cells_by_run ON experiment_cells (run_id);

CREATE TABLE inputs (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  kind TEXT NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER,
  PRIMARY KEY (run_id, kind, name)
) STRICT;

CREATE TABLE stages (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL, name TEXT NOT NULL,
  seconds REAL, peak_rss_bytes INTEGER,
  artefact TEXT NOT NULL DEFAULT '', artefact_sha256 TEXT NOT NULL DEFAULT '',
  {work}
) STRICT;

CREATE TABLE run_stages (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  stage_id INTEGER NOT NULL REFERENCES stages (id),
  cached INTEGER NOT NULL CHECK (cached IN (0, 1)),
  PRIMARY KEY (run_id, stage_id)
) STRICT;
CREATE INDEX run_stages_by_stage ON run_stages (stage_id);

CREATE TABLE metrics (
  id INTEGER PRIMARY KEY,
  stage_id INTEGER NOT NULL REFERENCES stages (id) ON DELETE CASCADE,
  protocol TEXT NOT NULL REFERENCES protocols (id),
  task TEXT NOT NULL, metric TEXT NOT NULL,
  value REAL NOT NULL, standard_error REAL, count INTEGER,
  unit TEXT NOT NULL, basis TEXT NOT NULL,
  UNIQUE (stage_id, protocol, task, metric)
) STRICT;

CREATE TABLE samples (
  id INTEGER PRIMARY KEY,
  stage_id INTEGER NOT NULL REFERENCES stages (id) ON DELETE CASCADE,
  protocol TEXT NOT NULL, task TEXT NOT NULL, name TEXT NOT NULL,
  data BLOB NOT NULL,
  UNIQUE (stage_id, protocol, task, name)
) STRICT;

CREATE TABLE layers (
  stage_id INTEGER NOT NULL REFERENCES stages (id) ON DELETE CASCADE,
  layer INTEGER NOT NULL,
  qk_widths TEXT NOT NULL, vo_widths TEXT NOT NULL, mlp_widths TEXT NOT NULL,
  kept_sha256 TEXT NOT NULL,
  damping REAL, condition REAL, relative_error REAL, seconds REAL,
  allocation TEXT NOT NULL CHECK (json_valid(allocation)),
  PRIMARY KEY (stage_id, layer)
) STRICT;

CREATE TABLE file_digests (
  path TEXT NOT NULL PRIMARY KEY,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  sha256 TEXT NOT NULL
) STRICT;

-- For people with a SQLite shell: one line a number.
CREATE VIEW cell_metrics AS
  SELECT runs.fingerprint, runs.model, runs.method, runs.nominal_ratio, runs.match,
         runs.calibration, runs.seed, metrics.protocol, metrics.task, metrics.metric,
         metrics.value, metrics.standard_error, metrics.count, metrics.unit, stages.key AS stage_key
  FROM runs
  JOIN run_stages ON run_stages.run_id = runs.id
  JOIN stages ON stages.id = run_stages.stage_id
  JOIN metrics ON metrics.stage_id = stages.id
  WHERE stages.has_result = 1 AND stages.status <> 'failed';
)sql";

// Parts of the result of a stage that is not finished; `sequence` counts the calls of KeepPart.
constexpr const char* kVersion2 = R"sql(
CREATE TABLE stage_parts (
  id INTEGER PRIMARY KEY,
  stage_id INTEGER NOT NULL REFERENCES stages (id) ON DELETE CASCADE,
  sequence INTEGER NOT NULL,
  protocol TEXT NOT NULL, task TEXT NOT NULL, name TEXT NOT NULL,
  data BLOB NOT NULL,
  UNIQUE (stage_id, sequence, protocol, task, name)
) STRICT;
)sql";

// Shapes that widths alone do not describe.
constexpr const char* kVersion3 = R"sql(
ALTER TABLE layers ADD COLUMN heads INTEGER;
ALTER TABLE layers ADD COLUMN kv_heads INTEGER;
ALTER TABLE layers ADD COLUMN ranks TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(ranks));
)sql";

// Axes that have no column in `runs`, such as transforms. Their values are named by the experiment,
// so they belong to its cells, as labels do.
constexpr const char* kVersion4 = R"sql(
CREATE TABLE cell_axes (
  experiment_id INTEGER NOT NULL,
  position INTEGER NOT NULL,
  name TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (experiment_id, position, name),
  FOREIGN KEY (experiment_id, position)
      REFERENCES experiment_cells (experiment_id, position) ON DELETE CASCADE
) STRICT;
)sql";

std::string WithWorkColumns(std::string sql) {
  const std::string mark = "{work}";
  for (size_t at; (at = sql.find(mark)) != std::string::npos;) {
    sql.replace(at, mark.size(), kWorkColumns);
  }
  return sql;
}

int VersionOf(Database& database) {
  return static_cast<int>(database.Integer("PRAGMA user_version").value_or(0));
}

// Throws unless the file is empty or was made by this program. In this order, because another
// process may be creating the tables at this moment: whoever sees them also sees the mark.
void RequireOwnFile(Database& database) {
  if (database.Integer("SELECT count(*) FROM sqlite_master") == 0 && VersionOf(database) == 0)
    return;
  if (database.Integer("PRAGMA application_id") == kApplicationId) return;
  throw MakeError<DataError>(
      "{}: is a SQLite database of another program; choose another file with --db",
      database.path().string());
}

void RefuseNewer(Database& database, int found, int known) {
  if (found <= known) return;
  throw MakeError<DataError>(
      "{}: is a results database of version {}, this program knows versions up to {}; use the "
      "newer "
      "program that wrote it, or choose another file with --db",
      database.path().string(), found, known);
}

}  // namespace

const std::vector<Migration>& AllMigrations() {
  static const std::vector<Migration> migrations = {
      {1, WithWorkColumns(kVersion1)}, {2, kVersion2}, {3, kVersion3}, {4, kVersion4}};
  return migrations;
}

void Migrate(Database& database, const std::vector<Migration>& migrations) {
  const int known = migrations.back().version;
  RequireOwnFile(database);
  RefuseNewer(database, VersionOf(database), known);
  if (VersionOf(database) == known) return;
  Transaction transaction(database);
  // Read again under the lock: another process may just have done it.
  const int found = VersionOf(database);
  RefuseNewer(database, found, known);
  for (const Migration& migration : migrations) {
    if (migration.version > found) database.Script(migration.sql);
  }
  database.Script(
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kApplicationId, known));
  transaction.Commit();
}

void RequireReadableVersion(Database& database) {
  const int found = VersionOf(database);
  RequireOwnFile(database);
  RefuseNewer(database, found, AllMigrations().back().version);
  if (found >= kOldestReadable) return;
  throw MakeError<DataError>("{}: holds no results yet; run an experiment with it first",
                             database.path().string());
}

}  // namespace condense
