// The part of ResultsStore that reads.
#include <fmt/format.h>

#include "base/error.h"
#include "results/heartbeat.h"
#include "results/results_store.h"
#include "results/rows.h"

namespace condense {
namespace {

// Converts each row.
template <class Convert>
auto Collect(Database& database, const std::string& sql, const std::vector<SqlValue>& values,
             Convert convert) {
  std::vector<decltype(convert(std::declval<const SqlRow&>()))> records;
  database.ForEach(sql, values, [&](const SqlRow& row) { records.push_back(convert(row)); });
  return records;
}

std::string PlaceOf(const Database& database, const std::string& protocol, const std::string& task,
                    const std::string& name, const std::string& stage_key) {
  return fmt::format("{}: samples {} {} {} of stage {}", database.path().string(), protocol, task,
                     name, stage_key);
}

template <class Convert>
auto First(Database& database, const std::string& sql, const std::vector<SqlValue>& values,
           Convert convert) -> std::optional<decltype(convert(std::declval<const SqlRow&>()))> {
  auto records = Collect(database, sql, values, convert);
  if (records.empty()) return std::nullopt;
  return std::move(records.front());
}

// A database of an older version that has not been opened for writing since lacks new tables.
bool HasTable(Database& database, const char* name) {
  return database.Integer("SELECT 1 FROM sqlite_master WHERE name = ?1", {name}).has_value();
}

std::map<std::string, std::string> AxesAt(Database& database, int64_t experiment,
                                          int64_t position) {
  std::map<std::string, std::string> axes;
  if (!HasTable(database, "cell_axes")) return axes;
  database.ForEach("SELECT name, value FROM cell_axes WHERE experiment_id = ?1 AND position = ?2",
                   {experiment, position},
                   [&](const SqlRow& row) { axes[row.Text("name")] = row.Text("value"); });
  return axes;
}

std::string RequireOneFingerprint(Database& database, std::string_view prefix) {
  // Compared by substr, because LIKE would take % and _ for wildcards.
  const auto found =
      Collect(database,
              "SELECT fingerprint FROM runs WHERE substr(fingerprint, 1, length(?1)) = ?1 ORDER BY "
              "fingerprint LIMIT 3",
              {std::string(prefix)}, [](const SqlRow& row) { return row.Text("fingerprint"); });
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    throw MakeError<ConfigError>("{} holds no cell whose fingerprint begins with '{}'",
                                 database.path().string(), prefix);
  }
  throw MakeError<ConfigError>(
      "several cells have a fingerprint that begins with '{}', e.g. {} and {}; give more "
      "characters",
      prefix, found[0], found[1]);
}

// Rows of samples with stage_key and basis, those of one stage, protocol and task together.
std::vector<StoredSamples> CollectSamples(Database& database, const std::string& sql,
                                          const std::vector<SqlValue>& values) {
  std::vector<StoredSamples> groups;
  database.ForEach(sql, values, [&](const SqlRow& row) {
    const std::string key = row.Text("stage_key"), protocol = row.Text("protocol"),
                      task = row.Text("task"), name = row.Text("name");
    if (groups.empty() || groups.back().stage_key != key || groups.back().protocol != protocol ||
        groups.back().task != task) {
      groups.push_back({key, protocol, task, row.Text("basis"), {}});
    }
    groups.back().records.push_back(
        {protocol, task, name,
         DecodeSamples(row.Bytes("data"), PlaceOf(database, protocol, task, name, key))});
  });
  return groups;
}

// The columns that CollectSamples reads. Metrics of one protocol and task have one basis.
constexpr const char* kSampleColumns = R"sql(
  SELECT stages.key AS stage_key, samples.protocol AS protocol, samples.task AS task,
         samples.name AS name, samples.data AS data,
         (SELECT basis FROM metrics WHERE metrics.stage_id = samples.stage_id AND
          metrics.protocol = samples.protocol AND metrics.task = samples.task AND basis <> ''
          ORDER BY metrics.id LIMIT 1) AS basis,
         min(samples.id) OVER (PARTITION BY samples.stage_id, samples.protocol, samples.task)
          AS first_id
  FROM samples JOIN stages ON stages.id = samples.stage_id
)sql";

}  // namespace

std::optional<ExperimentRecord> ResultsStore::FindExperiment(const std::string& name,
                                                             const std::string& profile) const {
  return First(*database_,
               "SELECT * FROM experiments WHERE name = ?1 AND profile = ?2 ORDER BY sequence DESC "
               "LIMIT 1",
               {name, profile}, ExperimentFrom);
}

std::vector<ExperimentRecord> ResultsStore::ListExperiments() const {
  return Collect(*database_, "SELECT * FROM experiments ORDER BY sequence", {}, ExperimentFrom);
}

std::vector<ExperimentCell> ResultsStore::CellsOfExperiment(int64_t experiment_id) const {
  return Collect(*database_,
                 "SELECT runs.*, label, origin, position FROM experiment_cells JOIN runs ON "
                 "runs.id = run_id WHERE experiment_id = ?1 ORDER BY position",
                 {experiment_id}, [&](const SqlRow& row) {
                   return ExperimentCell{RunFrom(row),
                                         row.Text("label"),
                                         row.Text("origin"),
                                         AxesAt(*database_, experiment_id, row.Integer("position")),
                                         {}};
                 });
}

std::optional<RunRecord> ResultsStore::FindRun(const std::string& fingerprint) const {
  return First(*database_, "SELECT * FROM runs WHERE fingerprint = ?1", {fingerprint}, RunFrom);
}

std::optional<StageRecord> ResultsStore::FindStage(const std::string& key) const {
  return First(*database_, "SELECT * FROM stages WHERE key = ?1", {key}, StageFrom);
}

std::vector<StageRecord> ResultsStore::StagesOfRun(int64_t run_id) const {
  return Collect(
      *database_,
      "SELECT stages.*, cached FROM run_stages JOIN stages ON stages.id = stage_id WHERE "
      "run_id = ?1 ORDER BY run_stages.rowid",
      {run_id}, [](const SqlRow& row) {
        StageRecord stage = StageFrom(row);
        stage.cached = row.Integer("cached") != 0;
        return stage;
      });
}

std::vector<MetricRecord> ResultsStore::MetricsOfRun(int64_t run_id) const {
  std::vector<MetricRecord> metrics =
      Collect(*database_,
              "SELECT metrics.*, stages.key AS stage_key FROM run_stages "
              "JOIN stages ON stages.id = run_stages.stage_id "
              "JOIN metrics ON metrics.stage_id = stages.id "
              "WHERE run_id = ?1 AND has_result = 1 AND status <> 'failed' "
              "ORDER BY run_stages.rowid, metrics.id",
              {run_id}, MetricFrom);
  std::map<std::vector<std::string>, std::string> last;  // stage, by what is measured
  const auto measured = [](const MetricRecord& metric) {
    return std::vector<std::string>{metric.protocol, metric.task, metric.metric};
  };
  for (const MetricRecord& metric : metrics) last[measured(metric)] = metric.stage_key;
  std::erase_if(metrics, [&](const MetricRecord& metric) {
    return last[measured(metric)] != metric.stage_key;
  });
  return metrics;
}

std::optional<SampleArray> ResultsStore::FindSamples(const std::string& stage_key,
                                                     const std::string& protocol,
                                                     const std::string& task,
                                                     const std::string& name) const {
  const std::string place = PlaceOf(*database_, protocol, task, name, stage_key);
  return First(*database_,
               "SELECT data FROM samples JOIN stages ON stages.id = stage_id WHERE key = ?1 AND "
               "protocol = ?2 AND task = ?3 AND samples.name = ?4",
               {stage_key, protocol, task, name},
               [&](const SqlRow& row) { return DecodeSamples(row.Bytes("data"), place); });
}

std::vector<StoredSamples> ResultsStore::SamplesOfRun(int64_t run_id) const {
  return CollectSamples(
      *database_,
      fmt::format("{} JOIN run_stages ON run_stages.stage_id = stages.id WHERE run_id = ?1 AND "
                  "has_result = 1 AND status <> 'failed' ORDER BY run_stages.rowid, first_id, "
                  "samples.id",
                  kSampleColumns),
      {run_id});
}

std::vector<StoredSamples> ResultsStore::SamplesOfStage(const std::string& stage_key) const {
  return CollectSamples(
      *database_,
      fmt::format("{} WHERE stages.key = ?1 ORDER BY first_id, samples.id", kSampleColumns),
      {stage_key});
}

std::vector<std::vector<SampleRecord>> ResultsStore::PartsOfStage(int64_t stage_id) const {
  std::vector<std::vector<SampleRecord>> parts;
  if (!HasTable(*database_, "stage_parts")) return parts;
  int64_t last = 0;
  database_->ForEach(
      "SELECT * FROM stage_parts WHERE stage_id = ?1 ORDER BY sequence, id", {stage_id},
      [&](const SqlRow& row) {
        if (parts.empty() || row.Integer("sequence") != last) parts.emplace_back();
        last = row.Integer("sequence");
        SampleRecord sample{row.Text("protocol"), row.Text("task"), row.Text("name"), {}};
        sample.values =
            DecodeSamples(row.Bytes("data"),
                          fmt::format("{}: {} {} {} of part {} of stage {}", path().string(),
                                      sample.protocol, sample.task, sample.name, last, stage_id));
        parts.back().push_back(std::move(sample));
      });
  return parts;
}

CellDetail ResultsStore::DescribeCell(std::string_view fingerprint) const {
  CellDetail detail;
  detail.run = FindRun(RequireOneFingerprint(*database_, fingerprint)).value();
  const int64_t id = detail.run.id;
  detail.experiments = Collect(
      *database_,
      "SELECT experiments.*, label, origin, position FROM experiment_cells JOIN experiments ON "
      "experiments.id = experiment_id WHERE run_id = ?1 ORDER BY sequence, position",
      {id}, [&](const SqlRow& row) {
        return CellDetail::Membership{
            ExperimentFrom(row), row.Text("label"), row.Text("origin"),
            AxesAt(*database_, row.Integer("id"), row.Integer("position"))};
      });
  detail.inputs = Collect(*database_, "SELECT * FROM inputs WHERE run_id = ?1 ORDER BY kind, name",
                          {id}, [](const SqlRow& row) {
                            return InputRecord{row.Text("kind"), row.Text("name"),
                                               row.Text("sha256"), row.OptionalInteger("bytes")};
                          });
  detail.stages = StagesOfRun(id);
  detail.environments = Collect(
      *database_,
      "SELECT * FROM environment WHERE id IN (SELECT environment_id FROM runs WHERE id = ?1 UNION "
      "SELECT environment_id FROM stages JOIN run_stages ON stages.id = stage_id WHERE run_id = "
      "?1) ORDER BY id",
      {id}, EnvironmentFrom);
  detail.metrics = MetricsOfRun(id);
  detail.protocols = Collect(
      *database_,
      "SELECT * FROM protocols WHERE id IN (SELECT protocol FROM metrics JOIN run_stages USING "
      "(stage_id) WHERE run_id = ?1) ORDER BY id",
      {id}, [](const SqlRow& row) {
        return ProtocolRecord{row.Text("id"), row.Text("params"), row.Text("sha256")};
      });
  detail.layers = Collect(
      *database_,
      "SELECT layers.* FROM layers JOIN run_stages USING (stage_id) WHERE run_id = ?1 ORDER BY "
      "run_stages.rowid, layer",
      {id}, LayerFrom);
  detail.samples = Collect(
      *database_,
      "SELECT stages.key AS stage_key, protocol, task, samples.name AS name, length(data) AS bytes "
      "FROM samples JOIN stages ON stages.id = samples.stage_id JOIN run_stages ON "
      "run_stages.stage_id = stages.id WHERE run_id = ?1 ORDER BY samples.id",
      {id}, [](const SqlRow& row) {
        return CellDetail::SampleSummary{row.Text("stage_key"), row.Text("protocol"),
                                         row.Text("task"), row.Text("name"), row.Integer("bytes")};
      });
  return detail;
}

}  // namespace condense
