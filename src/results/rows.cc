#include "results/rows.h"

#include "base/error.h"
#include "base/system.h"

namespace condense {

namespace {
constexpr const char* kStatusNames[] = {"planned", "running", "done", "failed", "stale"};
}

const char* ToText(WorkStatus status) { return kStatusNames[static_cast<int>(status)]; }

WorkStatus ParseStatus(const std::string& text) {
  for (int i = 0; i < 5; ++i) {
    if (text == kStatusNames[i]) return static_cast<WorkStatus>(i);
  }
  throw MakeError<DataError>("results database: unknown status '{}'", text);
}

EnvironmentRecord DescribeMachine() {
  EnvironmentRecord machine;
  machine.host = HostName();
  machine.cpu = CpuModel();
  machine.cores = PhysicalCores();
  machine.memory_bytes = static_cast<int64_t>(MemoryBytes());
#ifdef __clang__
  machine.compiler = "clang " __clang_version__;
#else
  machine.compiler = "gcc " __VERSION__;
#endif
  return machine;
}

WorkState WorkStateFrom(const SqlRow& row) {
  WorkState state;
  state.status = ParseStatus(row.Text("status"));
  state.attempt = static_cast<int>(row.Integer("attempt"));
  state.has_result = row.Integer("has_result") != 0;
  state.environment_id = row.OptionalInteger("environment_id");
  if (!row.IsNull("process")) {
    state.owner = Owner{row.Text("host"), row.Integer("pid"), row.Text("process")};
  }
  state.heartbeat = row.Integer("heartbeat");
  state.error_class = row.Text("error_class");
  state.error_message = row.Text("error_message");
  state.started = row.Text("started");
  state.finished = row.Text("finished");
  return state;
}

RunRecord RunFrom(const SqlRow& row) {
  RunRecord run;
  run.id = row.Integer("id");
  run.fingerprint = row.Text("fingerprint");
  run.canonical = row.Text("canonical");
  run.model = row.Text("model");
  run.dtype = row.Text("dtype");
  run.method = row.Text("method");
  run.method_params = row.Text("method_params");
  run.nominal_ratio = row.OptionalReal("nominal_ratio");
  run.match = row.Text("match");
  run.calibration = row.Text("calibration");
  run.seed = row.OptionalInteger("seed");
  run.state = WorkStateFrom(row);
  return run;
}

StageRecord StageFrom(const SqlRow& row) {
  StageRecord stage;
  stage.id = row.Integer("id");
  stage.key = row.Text("key");
  stage.kind = row.Text("kind");
  stage.name = row.Text("name");
  stage.seconds = row.OptionalReal("seconds");
  stage.peak_rss_bytes = row.OptionalInteger("peak_rss_bytes");
  stage.artefact = row.Text("artefact");
  stage.artefact_sha256 = row.Text("artefact_sha256");
  stage.state = WorkStateFrom(row);
  return stage;
}

ExperimentRecord ExperimentFrom(const SqlRow& row) {
  return {row.Integer("id"), row.Text("name"), row.Text("profile"),
          row.Text("title"), row.Text("spec"), row.Text("file")};
}

MetricRecord MetricFrom(const SqlRow& row) {
  MetricRecord metric;
  metric.stage_key = row.Text("stage_key");
  metric.protocol = row.Text("protocol");
  metric.task = row.Text("task");
  metric.metric = row.Text("metric");
  metric.value = row.Real("value");
  metric.standard_error = row.OptionalReal("standard_error");
  metric.count = row.OptionalInteger("count");
  metric.unit = row.Text("unit");
  metric.basis = row.Text("basis");
  return metric;
}

LayerRecord LayerFrom(const SqlRow& row) {
  LayerRecord layer;
  layer.layer = static_cast<int>(row.Integer("layer"));
  layer.qk_widths = row.Text("qk_widths");
  layer.vo_widths = row.Text("vo_widths");
  layer.mlp_widths = row.Text("mlp_widths");
  layer.kept_sha256 = row.Text("kept_sha256");
  layer.damping = row.OptionalReal("damping");
  layer.condition = row.OptionalReal("condition");
  layer.relative_error = row.OptionalReal("relative_error");
  layer.seconds = row.OptionalReal("seconds");
  layer.allocation = row.Text("allocation");
  if (!row.Has("ranks")) return layer;
  layer.heads = row.OptionalInteger("heads");
  layer.kv_heads = row.OptionalInteger("kv_heads");
  layer.ranks = row.Text("ranks");
  return layer;
}

std::vector<SqlColumn> ColumnsOf(const EnvironmentRecord& environment) {
  return {{"git_revision", environment.git_revision},
          {"git_dirty", environment.git_dirty},
          {"binary_sha256", environment.binary_sha256},
          {"libtorch", environment.libtorch},
          {"compiler", environment.compiler},
          {"build_type", environment.build_type},
          {"host", environment.host},
          {"cpu", environment.cpu},
          {"device", environment.device},
          {"cores", environment.cores},
          {"threads", environment.threads},
          {"memory_bytes", environment.memory_bytes},
          {"details", environment.details}};
}

EnvironmentRecord EnvironmentFrom(const SqlRow& row) {
  EnvironmentRecord environment;
  environment.id = row.Integer("id");
  environment.git_revision = row.Text("git_revision");
  environment.git_dirty = row.Integer("git_dirty") != 0;
  environment.binary_sha256 = row.Text("binary_sha256");
  environment.libtorch = row.Text("libtorch");
  environment.compiler = row.Text("compiler");
  environment.build_type = row.Text("build_type");
  environment.host = row.Text("host");
  environment.cpu = row.Text("cpu");
  environment.device = row.Text("device");
  environment.cores = static_cast<int>(row.Integer("cores"));
  environment.threads = static_cast<int>(row.Integer("threads"));
  environment.memory_bytes = row.Integer("memory_bytes");
  environment.details = row.Text("details");
  return environment;
}

}  // namespace condense
