#include "experiment/run/cell_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/sha256.h"
#include "base/strings.h"
#include "config/scalars.h"
#include "model/parameters.h"
#include "results/score_samples.h"

namespace condense {
namespace {

void AddMetric(StageResult& result, const OwnProtocol& protocol, std::string metric, double value,
               std::string unit, std::string task = "") {
  result.metrics.push_back({.protocol = protocol.id,
                            .task = std::move(task),
                            .metric = std::move(metric),
                            .value = value,
                            .unit = std::move(unit)});
}

void AddParameters(const ModelConfig& config, StageResult& result) {
  const ParameterCount count = CountParameters(config);
  const RealRatios ratios = RatiosOf(config);
  const auto add = [&](const char* name, auto value, const char* unit) {
    AddMetric(result, kParameters, name, static_cast<double>(value), unit);
  };
  add("parameters", count.Total(), "count");
  add("block-parameters", count.block, "count");
  add("executed-parameters", count.executed, "count");
  add("block-params", ratios.block, "fraction");
  add("block-full-params", ratios.block_full, "fraction");
  add("total-params", ratios.total, "fraction");
  add("untied-params", ratios.untied, "fraction");
  add("compute-params", ratios.compute, "fraction");
}

// "96", or "96,88" where heads are uneven.
template <class Width>
std::string Widths(const LayerConfig& layer, Width width) {
  std::vector<std::string> widths;
  for (const HeadConfig& head : layer.heads) widths.push_back(std::to_string(width(head)));
  const bool even =
      std::all_of(widths.begin(), widths.end(), [&](const auto& w) { return w == widths.front(); });
  return even && !widths.empty() ? widths.front() : Join(widths, ",");
}

std::string Ranks(const LayerConfig& layer) {
  std::vector<std::string> ranks;
  for (const auto& [role, rank] : layer.low_rank) {
    ranks.push_back(fmt::format("{}:{}", JsonString(role), rank));
  }
  return fmt::format("{{{}}}", Join(ranks, ","));
}

int64_t QueryHeads(const LayerConfig& layer) {
  int64_t heads = 0;
  for (const HeadConfig& head : layer.heads) heads += head.queries;
  return heads;
}

void Largest(const std::optional<double>& value, std::optional<double>& into) {
  if (value && (!into || *value > *into)) into = value;
}

std::string KeptDigest(const LayerReport& report) {
  Sha256 hash;
  for (const auto& [module, part] : report.modules) {
    hash.Update(module).UpdateU64(part.kept.size());
    for (const int64_t index : part.kept) hash.UpdateU64(static_cast<uint64_t>(index));
  }
  return hash.Finish();
}

// One row for each block of the compressed model.
std::vector<LayerRecord> Layers(const CompressionResult& result) {
  std::vector<LayerRecord> records;
  for (const LayerConfig& layer : result.config.layers) {
    LayerRecord record;
    record.layer = static_cast<int>(layer.source);
    record.qk_widths = Widths(layer, [](const HeadConfig& head) { return head.qk_width; });
    record.vo_widths = Widths(layer, [](const HeadConfig& head) { return head.vo_width; });
    record.mlp_widths = std::to_string(layer.mlp_width);
    record.heads = QueryHeads(layer);
    record.kv_heads = static_cast<int64_t>(layer.heads.size());
    record.ranks = Ranks(layer);
    for (const LayerReport& report : result.report.layers) {
      if (report.layer != layer.source) continue;
      record.kept_sha256 = KeptDigest(report);
      double seconds = 0;
      for (const auto& [module, part] : report.modules) {
        Largest(part.damping, record.damping);
        Largest(part.condition, record.condition);
        Largest(part.relative_error, record.relative_error);
        seconds += part.seconds;
      }
      record.seconds = seconds;
    }
    const auto source = static_cast<size_t>(layer.source);
    if (source < result.report.allocation.size()) {
      const ModuleSparsity& removed = result.report.allocation[source];
      record.allocation = fmt::format(R"({{"mlp":{},"qk":{},"vo":{}}})", JsonNumber(removed.mlp),
                                      JsonNumber(removed.qk), JsonNumber(removed.vo));
    }
    records.push_back(std::move(record));
  }
  return records;
}

// Weights of the linear maps of each module. Weights of another block count there.
std::map<std::string, int64_t> ModuleWeights(const ModelConfig& config, const LayerConfig& layer) {
  std::map<std::string, int64_t> weights;
  for (const std::string& role : LinearRoles(config)) {
    const MatrixShape shape = LinearShape(config, layer, role);
    const auto rank = layer.low_rank.find(role);
    int64_t& sum = weights[ModuleName(ModuleOf(role))];
    if (layer.shares_with) continue;
    sum +=
        rank == layer.low_rank.end() ? shape.out * shape.in : rank->second * (shape.out + shape.in);
  }
  return weights;
}

// The fraction of the dense weights that each module of each block still has; none where the block
// is gone.
void AddKeptWeights(const ModelConfig& config, StageResult& stage) {
  const ModelConfig& dense = config.Dense();
  std::vector<std::map<std::string, int64_t>> kept(dense.layers.size());
  for (const LayerConfig& layer : config.layers) {
    kept.at(static_cast<size_t>(layer.source)) = ModuleWeights(config, layer);
  }
  for (size_t i = 0; i < dense.layers.size(); ++i) {
    for (const auto& [module, weights] : ModuleWeights(dense, dense.layers[i])) {
      AddMetric(stage, kModuleReport, "kept-params",
                static_cast<double>(kept[i][module]) / static_cast<double>(weights), "fraction",
                fmt::format("layer {} {}", i, module));
    }
  }
}

void AddModules(const CompressionResult& result, StageResult& stage) {
  for (const LayerReport& layer : result.report.layers) {
    for (const auto& [module, part] : layer.modules) {
      const std::string task = fmt::format("layer {} {}", layer.layer, module);
      const auto add = [&](const char* name, const std::optional<double>& value) {
        if (value && std::isfinite(*value)) AddMetric(stage, kModuleReport, name, *value, "", task);
      };
      add("relative_error", part.relative_error);
      add("condition", part.condition);
      add("damping", part.damping);
    }
  }
}

void AddCost(const CompressionResult& result, StageResult& stage) {
  AddMetric(stage, kCost, "compress-seconds", result.seconds, "s");
  for (const auto& [phase, use] : result.phases) {
    AddMetric(stage, kCost, phase + "-seconds", use.seconds, "s");
  }
}

}  // namespace

StageResult CostRecords(const std::string& protocol, const CompressionResult& result) {
  StageResult stage;
  const auto add = [&](const std::string& metric, double value, const char* unit) {
    stage.metrics.push_back({.protocol = protocol, .metric = metric, .value = value, .unit = unit});
  };
  add("total-seconds", result.seconds, "s");
  for (const auto& [phase, use] : result.phases) {
    add(phase + "-seconds", use.seconds, "s");
    if (use.peak_bytes > 0)
      add(phase + "-peak_bytes", static_cast<double>(use.peak_bytes), "bytes");
  }
  std::map<std::string, double> modules;
  for (const LayerReport& layer : result.report.layers) {
    for (const auto& [module, part] : layer.modules) modules[module] += part.seconds;
  }
  for (const auto& [module, seconds] : modules) add("solve-" + module + "-seconds", seconds, "s");
  const uint64_t peak = PeakBytesOf(result.phases);
  if (peak > 0) add("peak_bytes", static_cast<double>(peak), "bytes");
  return stage;
}

StageResult ArithmeticRecords(const std::string& protocol, const ModelConfig& config,
                              int64_t positions, int64_t element_bytes) {
  StageResult stage;
  const auto add = [&](const char* metric, int64_t value, const char* unit) {
    stage.metrics.push_back({.protocol = protocol,
                             .metric = metric,
                             .value = static_cast<double>(value),
                             .count = positions,
                             .unit = unit});
  };
  add("macs", CountMacs(config, positions), "count");
  add("kv_bytes_per_token", KvBytesPerToken(config, element_bytes), "bytes");
  return stage;
}

std::vector<std::string> MetricNames() {
  std::vector<std::string> names = {"parameters",
                                    "block-parameters",
                                    "executed-parameters",
                                    "block-params",
                                    "block-full-params",
                                    "total-params",
                                    "untied-params",
                                    "compute-params",
                                    "nominal",
                                    "deviation",
                                    "file_bytes",
                                    "compress-seconds",
                                    "total-seconds",
                                    "peak_bytes",
                                    "macs",
                                    "kv_bytes_per_token",
                                    "short-sequences",
                                    "fraction-used",
                                    "kept-params",
                                    "relative_error",
                                    "condition",
                                    "damping",
                                    "acc",
                                    "acc_norm",
                                    "acc_bytes",
                                    "acc_tok",
                                    "ppl",
                                    "kl_mean",
                                    "kl_median",
                                    "kl_p90",
                                    "kl_p99",
                                    "kl_max",
                                    "top1_agree",
                                    "top5_overlap",
                                    "dp_mean",
                                    "dp_rms",
                                    "nll_diff"};
  for (std::string& name : ProtocolValueNames()) names.push_back(std::move(name));
  return names;
}

std::vector<std::string> ModuleMetricNames() {
  return {"kept-params", "relative_error", "condition", "damping"};
}

bool IsMetricName(const std::string& name) {
  const std::vector<std::string> known = MetricNames();
  return EndsWith(name, "-seconds") || EndsWith(name, "-peak_bytes") ||
         std::find(known.begin(), known.end(), name) != known.end();
}

double RealRatio(const CompressionResult& result, Match match) {
  switch (match) {
    case Match::kBlock:
      return result.ratios.block;
    case Match::kTotal:
      return result.ratios.total;
    case Match::kTotalAbs: {
      const ParameterCount dense = CountParameters(result.config.Dense());
      return static_cast<double>(dense.Total() - result.parameters.Total()) /
             static_cast<double>(dense.block);
    }
    case Match::kNominal:
      return result.nominal;
  }
  return 0;
}

StageResult DenseResult(const CheckpointModel& model) {
  StageResult result;
  AddParameters(model.config(), result);
  AddBytes(model, result);
  return result;
}

StageResult TransformedResult(const CheckpointModel& model, double ratio, Match match) {
  StageResult result = DenseResult(model);
  if (ratio == 0 || match == Match::kNominal) return result;  // a nominal ratio stays what it was
  CompressionResult counted;
  counted.config = model.config();
  counted.parameters = CountParameters(counted.config);
  counted.ratios = RatiosOf(counted.config);
  AddMetric(result, kParameters, "deviation", RealRatio(counted, match) - ratio, "fraction");
  return result;
}

StageResult CompressedResult(const CompressionResult& result, double ratio, Match match) {
  StageResult stage;
  AddParameters(result.config, stage);
  AddMetric(stage, kParameters, "nominal", result.nominal, "fraction");
  AddMetric(stage, kParameters, "deviation", RealRatio(result, match) - ratio, "fraction");
  AddCost(result, stage);
  AddKeptWeights(result.config, stage);
  AddModules(result, stage);
  stage.layers = Layers(result);
  if (!result.report.influence.empty()) {
    stage.samples.push_back({kModuleReport.id, "", "influence", {result.report.influence}});
  }
  for (const ModuleCurve& curve : result.report.curves) {
    SampleArray points{.values = {}, .columns = 2};  // fraction removed, divergence
    auto& values = points.values.emplace<std::vector<double>>();
    for (size_t i = 0; i < curve.removed.size(); ++i) {
      values.insert(values.end(), {curve.removed[i], curve.divergence[i]});
    }
    stage.samples.push_back({kModuleReport.id,
                             fmt::format("layer {} {}", curve.layer, curve.part.name), "kl_curve",
                             std::move(points)});
  }
  return stage;
}

void AddBytes(const CheckpointModel& stored, StageResult& result) {
  AddMetric(result, kParameters, "file_bytes", static_cast<double>(stored.FileBytes()), "bytes");
}

StageResult CalibrationResult(const CalibrationSet& set) {
  StageResult result;
  const auto add = [&](const char* name, double value, const char* unit) {
    AddMetric(result, kCalibration, name, value, unit);
    result.metrics.back().basis = set.hash;
    result.metrics.back().count = static_cast<int64_t>(set.sequences.size());
  };
  add("tokens", static_cast<double>(set.tokens), "count");
  add("short-sequences", static_cast<double>(set.short_sequences), "count");
  add("fraction-used", set.fraction_used, "fraction");
  std::vector<int32_t> ids, lengths;
  for (const auto& sequence : set.sequences) {
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    lengths.push_back(static_cast<int32_t>(sequence.size()));
  }
  result.samples.push_back({kCalibration.id, "", "ids", {std::move(ids)}});
  result.samples.push_back({kCalibration.id, "", "lengths", {std::move(lengths)}});
  return result;
}

StageResult MeasurementRecords(const std::string& protocol, const ProtocolMeasurement& measured) {
  StageResult result;
  for (const ProtocolValue& value : measured.values) {
    result.metrics.push_back({.protocol = protocol,
                              .metric = value.name,
                              .value = value.value,
                              .standard_error = value.standard_error,
                              .count = measured.count,
                              .unit = value.unit,
                              .basis = measured.ids_sha256});
  }
  for (const ProtocolSeries& series : measured.series) {
    result.samples.push_back({protocol, "", series.name, {series.values}});
  }
  return result;
}

StageResult TaskRecords(const TaskScores& scores, const std::vector<TaskMetric>& metrics) {
  StageResult result;
  const auto add = [&](TaskMetric metric) {
    const TaskValue value = ValueOf(scores, metric);
    result.metrics.push_back({.protocol = scores.protocol,
                              .task = scores.task,
                              .metric = std::string(StoredName(metric)),
                              .value = value.value,
                              .standard_error = value.standard_error,
                              .count = value.count,
                              .unit = metric == TaskMetric::kPerplexity ? "" : "fraction",
                              .basis = scores.requests_sha256});
  };
  for (const TaskMetric metric : metrics) {
    add(metric);
    if (metric != TaskMetric::kAccNorm) continue;
    add(TaskMetric::kAccBytes);
    add(TaskMetric::kAccTok);
  }
  result.samples = PackScores(scores);
  return result;
}

StageResult AgreementRecords(const std::string& protocol, const AgreementResult& agreement) {
  StageResult result;
  const auto add = [&](const char* name, double value, const char* unit,
                       std::optional<double> error = std::nullopt) {
    result.metrics.push_back({.protocol = protocol,
                              .metric = name,
                              .value = value,
                              .standard_error = error,
                              .count = agreement.windows,
                              .unit = unit,
                              .basis = agreement.ids_sha256});
  };
  add("kl_mean", agreement.kl_mean, "nats", agreement.kl_error);
  add("kl_median", agreement.kl_median, "nats");
  add("kl_p90", agreement.kl_p90, "nats");
  add("kl_p99", agreement.kl_p99, "nats");
  add("kl_max", agreement.kl_max, "nats");
  add("top1_agree", agreement.top1_agree, "fraction", agreement.top1_error);
  add("top5_overlap", agreement.top5_overlap, "fraction");
  add("dp_mean", agreement.dp_mean, "");
  add("dp_rms", agreement.dp_rms, "");
  add("nll_diff", agreement.nll_diff, "nats", agreement.nll_diff_error);
  add("vocabulary_cut", static_cast<double>(agreement.vocabulary_cut), "count");
  result.samples.push_back({protocol, "", "window_kl", {agreement.window_kl}});
  result.samples.push_back({protocol, "", "window_top1", {agreement.window_top1}});
  result.samples.push_back({protocol, "", "window_nll_diff", {agreement.window_nll_diff}});
  return result;
}

}  // namespace condense
