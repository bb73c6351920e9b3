// The part of ResultsStore that assigns work to processes: claims, results, failures.
#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "results/heartbeat.h"
#include "results/process.h"
#include "results/results_store.h"
#include "results/rows.h"

namespace condense {
namespace {

WorkState ReadWork(Database& database, const char* table, int64_t id) {
  std::optional<WorkState> state;
  database.ForEach(fmt::format("SELECT * FROM {} WHERE id = ?1", table), {id},
                   [&](const SqlRow& row) { state = WorkStateFrom(row); });
  CONDENSE_CHECK(state.has_value(), "no row {} in {}", id, table);
  return *state;
}

// Running work whose process has died returns to its earlier state: done if it was being repeated.
WorkStatus StatusWithoutOwner(const WorkState& state) {
  return state.has_result ? WorkStatus::kDone : WorkStatus::kStale;
}

void SetStatus(Database& database, const char* table, int64_t id, WorkStatus status) {
  database.Run(fmt::format("UPDATE {} SET status = ?2 WHERE id = ?1", table), {id, ToText(status)});
}

void LinkStage(Database& database, int64_t run_id, int64_t stage_id, bool cached) {
  // A run that computed the stage itself is not marked as having reused it.
  database.Insert("run_stages", {{"run_id", run_id}, {"stage_id", stage_id}, {"cached", cached}},
                  "ON CONFLICT (run_id, stage_id) DO UPDATE SET cached = min(cached, "
                  "excluded.cached)");
}

void RequireStorable(Database& database, const StageResult& result) {
  for (const MetricRecord& metric : result.metrics) {
    if (std::isnan(metric.value)) {
      throw MakeError<NumericError>("metric {} of protocol {}{}{} is not a number", metric.metric,
                                    metric.protocol, metric.task.empty() ? "" : ", task ",
                                    metric.task);
    }
    CONDENSE_CHECK(database.Integer("SELECT 1 FROM protocols WHERE id = ?1", {metric.protocol}),
                   "metric {}: protocol '{}' was not registered", metric.metric, metric.protocol);
  }
}

}  // namespace

Claim ResultsStore::TakeWork(const char* table, int64_t id, int64_t environment_id,
                             ClaimPolicy policy) {
  Claim claim{.id = id, .state = ReadWork(*database_, table, id)};
  WorkStatus status = claim.state.status;
  if (status == WorkStatus::kRunning) {
    const Owner& owner = claim.state.owner.value();
    if (owner.process == self_.process && owner.host == self_.host) return claim;
    if (!IsAbandoned(owner, claim.state.heartbeat, UnixSeconds(), options_.stale_after)) {
      claim.outcome = Claim::Outcome::kHeld;
      return claim;
    }
    claim.took_over = true;
    status = StatusWithoutOwner(claim.state);
    SetStatus(*database_, table, id, status);
  }
  if (status == WorkStatus::kDone && !policy.retake_done) {
    claim.outcome = Claim::Outcome::kDone;
  } else if (status == WorkStatus::kFailed && !policy.retake_failed) {
    claim.outcome = Claim::Outcome::kFailed;
  } else {
    database_->Run(
        fmt::format("UPDATE {} SET status = 'running', attempt = attempt + 1, "
                    "environment_id = ?2, host = ?3, pid = ?4, process = ?5, "
                    "heartbeat = ?6, started = ?7, finished = '', error_class = '', "
                    "error_message = '' WHERE id = ?1",
                    table),
        {id, environment_id, self_.host, self_.pid, self_.process, UnixSeconds(), UtcNow()});
    if (heartbeat_ == nullptr) {
      heartbeat_ = std::make_unique<Heartbeat>(path(), self_.process, options_.heartbeat_every);
    }
  }
  claim.state = ReadWork(*database_, table, id);
  return claim;
}

Claim ResultsStore::ClaimRun(const std::string& fingerprint, int64_t environment_id,
                             ClaimPolicy policy) {
  Transaction transaction(*database_);
  const auto id = database_->Integer("SELECT id FROM runs WHERE fingerprint = ?1", {fingerprint});
  CONDENSE_CHECK(id.has_value(), "run {} was not registered", fingerprint);
  const Claim claim = TakeWork("runs", *id, environment_id, policy);
  transaction.Commit();
  return claim;
}

int64_t ResultsStore::StageId(const StagePlan& stage) {
  database_->Insert("stages", {{"key", stage.key}, {"kind", stage.kind}, {"name", stage.name}},
                    "ON CONFLICT (key) DO NOTHING");
  return database_->Integer("SELECT id FROM stages WHERE key = ?1", {stage.key}).value();
}

Claim ResultsStore::ClaimStage(int64_t run_id, const StagePlan& stage, int64_t environment_id,
                               ClaimPolicy policy) {
  Transaction transaction(*database_);
  const Claim claim = TakeWork("stages", StageId(stage), environment_id, policy);
  LinkStage(*database_, run_id, claim.id, claim.outcome != Claim::Outcome::kClaimed);
  transaction.Commit();
  return claim;
}

bool ResultsStore::EndWork(const char* table, int64_t id, WorkStatus status,
                           const std::string& error_class, const std::string& message) {
  const int changed = database_->Run(
      fmt::format("UPDATE {} SET status = ?2, has_result = max(has_result, ?3), error_class = ?4, "
                  "error_message = ?5, finished = ?6 "
                  "WHERE id = ?1 AND status = 'running' AND host = ?7 AND process = ?8",
                  table),
      {id, ToText(status), status == WorkStatus::kDone, error_class, message, UtcNow(), self_.host,
       self_.process});
  if (changed == 0) {
    LogWarning(
        "{}: another process has taken over row {} of {}; the work of this process is not "
        "recorded",
        path().string(), id, table);
  }
  return changed == 1;
}

void ResultsStore::FinishRun(int64_t run_id) { EndWork("runs", run_id, WorkStatus::kDone, "", ""); }

void ResultsStore::FailRun(int64_t run_id, const std::string& error_class,
                           const std::string& message) {
  EndWork("runs", run_id, WorkStatus::kFailed, error_class, message);
}

bool ResultsStore::FinishStage(int64_t stage_id, const StageResult& result) {
  RequireStorable(*database_, result);
  Transaction transaction(*database_);
  if (!EndWork("stages", stage_id, WorkStatus::kDone, "", "")) return false;
  WriteStageResult(stage_id, result);
  transaction.Commit();
  return true;
}

bool ResultsStore::OwnsStage(int64_t stage_id) const {
  const auto owned = database_->Integer(
      "SELECT 1 FROM stages WHERE id = ?1 AND status = 'running' AND host = ?2 AND process = ?3",
      {stage_id, self_.host, self_.process});
  return owned.has_value();
}

bool ResultsStore::KeepPart(int64_t stage_id, const std::vector<SampleRecord>& part) {
  CONDENSE_CHECK(!part.empty(), "a part of stage {} without samples", stage_id);
  Transaction transaction(*database_);
  if (!OwnsStage(stage_id)) {
    LogWarning("{}: another process has taken over stage {}; this part of it is not stored",
               path().string(), stage_id);
    return false;
  }
  const int64_t sequence =
      database_->Integer("SELECT max(sequence) FROM stage_parts WHERE stage_id = ?1", {stage_id})
          .value_or(0) +
      1;
  for (const SampleRecord& sample : part) {
    database_->Insert("stage_parts", {{"stage_id", stage_id},
                                      {"sequence", sequence},
                                      {"protocol", sample.protocol},
                                      {"task", sample.task},
                                      {"name", sample.name},
                                      {"data", Blob{EncodeSamples(sample.values)}}});
  }
  transaction.Commit();
  return true;
}

void ResultsStore::WriteStageResult(int64_t stage_id, const StageResult& result) {
  for (const char* table : {"metrics", "samples", "layers", "stage_parts"}) {
    database_->Run(fmt::format("DELETE FROM {} WHERE stage_id = ?1", table), {stage_id});
  }
  database_->Run(
      "UPDATE stages SET seconds = ?2, peak_rss_bytes = ?3, artefact = ?4, "
      "artefact_sha256 = ?5 WHERE id = ?1",
      {stage_id, result.seconds, result.peak_rss_bytes, result.artefact, result.artefact_sha256});
  for (const MetricRecord& metric : result.metrics) {
    database_->Insert("metrics", {{"stage_id", stage_id},
                                  {"protocol", metric.protocol},
                                  {"task", metric.task},
                                  {"metric", metric.metric},
                                  {"value", metric.value},
                                  {"standard_error", metric.standard_error},
                                  {"count", metric.count},
                                  {"unit", metric.unit},
                                  {"basis", metric.basis}});
  }
  for (const SampleRecord& sample : result.samples) {
    database_->Insert("samples", {{"stage_id", stage_id},
                                  {"protocol", sample.protocol},
                                  {"task", sample.task},
                                  {"name", sample.name},
                                  {"data", Blob{EncodeSamples(sample.values)}}});
  }
  for (const LayerRecord& layer : result.layers) {
    database_->Insert("layers", {{"stage_id", stage_id},
                                 {"layer", layer.layer},
                                 {"qk_widths", layer.qk_widths},
                                 {"vo_widths", layer.vo_widths},
                                 {"mlp_widths", layer.mlp_widths},
                                 {"kept_sha256", layer.kept_sha256},
                                 {"damping", layer.damping},
                                 {"condition", layer.condition},
                                 {"relative_error", layer.relative_error},
                                 {"seconds", layer.seconds},
                                 {"allocation", layer.allocation},
                                 {"heads", layer.heads},
                                 {"kv_heads", layer.kv_heads},
                                 {"ranks", layer.ranks}});
  }
}

void ResultsStore::FailStage(int64_t stage_id, const std::string& error_class,
                             const std::string& message) {
  EndWork("stages", stage_id, WorkStatus::kFailed, error_class, message);
}

void ResultsStore::ReleaseClaims() {
  Transaction transaction(*database_);
  for (const char* table : {"runs", "stages"}) {
    database_->Run(fmt::format("UPDATE {} SET status = CASE has_result WHEN 1 THEN 'done' ELSE "
                               "'planned' END WHERE status = 'running' AND host = ?1 AND process = "
                               "?2",
                               table),
                   {self_.host, self_.process});
  }
  transaction.Commit();
}

int ResultsStore::MarkStale() {
  Transaction transaction(*database_);
  int marked = 0;
  for (const char* table : {"runs", "stages"}) {
    std::vector<std::pair<int64_t, WorkState>> running;
    database_->ForEach(
        fmt::format("SELECT * FROM {} WHERE status = 'running'", table), {},
        [&](const SqlRow& row) { running.emplace_back(row.Integer("id"), WorkStateFrom(row)); });
    for (const auto& [id, state] : running) {
      if (!IsAbandoned(state.owner.value(), state.heartbeat, UnixSeconds(), options_.stale_after)) {
        continue;
      }
      SetStatus(*database_, table, id, StatusWithoutOwner(state));
      ++marked;
    }
  }
  transaction.Commit();
  return marked;
}

}  // namespace condense
