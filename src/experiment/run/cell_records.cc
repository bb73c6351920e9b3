#include "experiment/run/cell_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/sha256.h"
#include "base/strings.h"
#include "config/scalars.h"
#include "model/parameters.h"
#include "stats/stored_names.h"

namespace condense {
namespace {

using Kind = Metric::Kind;
using Style = NumberFormat::Style;

const Metric& Weights(const char* name, const char* label) {
  return RegisterMetric(
      {.name = name, .unit = "count", .format = {Style::kInteger, 0}, .label = label});
}
const Metric& Removed(const char* name, const char* label) {
  return RegisterMetric(
      {.name = name, .unit = "fraction", .format = {Style::kRatio, 1}, .label = label});
}
const Metric& Fraction(const char* name, const char* label) {
  return RegisterMetric({.name = name, .unit = "fraction", .label = label});
}
const Metric& Count(const char* name, const char* label) {
  return RegisterMetric({.name = name, .unit = "count", .label = label});
}
const Metric& OfModule(const char* name, const char* label) {
  return RegisterMetric({.name = name, .label = label, .kind = Kind::kModule});
}

const Metric& kTotal = Weights("parameters", "parameters");
const Metric& kBlock = Weights("block-parameters", "block weights");
const Metric& kExecuted = Weights("executed-parameters", "executed block weights");
const Metric& kBlockRemoved = Removed("block-params", "block weights removed");
const Metric& kBlockFullRemoved = Removed("block-full-params", "block parameters removed");
const Metric& kTotalRemoved = Removed("total-params", "parameters removed");
const Metric& kUntiedRemoved = Removed("untied-params", "parameters removed, head untied");
const Metric& kComputeRemoved = Removed("compute-params", "executed weights removed");
const Metric& kNominal = Fraction("nominal", "fraction that the method was asked to remove");
const Metric& kDeviation = Fraction("deviation", "fraction removed beyond the requested ratio");
const Metric& kFileBytes = RegisterMetric({.name = "file_bytes",
                                           .unit = "bytes",
                                           .format = {Style::kBytes, 2},
                                           .better = Better::kLower,
                                           .label = "size on disk"});

const Metric& Seconds(const char* name, const char* label) {
  return RegisterMetric({.name = name,
                         .unit = "s",
                         .format = {Style::kFixed, 1},
                         .better = Better::kLower,
                         .label = label});
}
const Metric& kCompressSeconds = Seconds("compress-seconds", "time to compress");
[[maybe_unused]] const Metric& kPhaseSeconds = Seconds("*-seconds", "* time");

const Metric& kTokens = Count("tokens", "tokens");
const Metric& kShortSequences = Count("short-sequences", "sequences shorter than asked for");
const Metric& kFractionUsed = Fraction("fraction-used", "calibration corpus used");

const Metric& kKept = RegisterMetric({.name = "kept-params",
                                      .unit = "fraction",
                                      .format = {Style::kRatio, 1},
                                      .label = "weights kept",
                                      .kind = Kind::kModule});
const Metric& kRelativeError = OfModule("relative_error", "relative error");
const Metric& kCondition = OfModule("condition", "condition number");
const Metric& kDamping = OfModule("damping", "damping");

void AddMetric(StageResult& result, const OwnProtocol& protocol, const Metric& metric, double value,
               std::string task = "") {
  result.metrics.push_back(RecordOf(metric, value, protocol.id, std::move(task)));
}

void AddParameters(const ModelConfig& config, StageResult& result) {
  const ParameterCount count = CountParameters(config);
  const RealRatios ratios = RatiosOf(config);
  const auto add = [&](const Metric& metric, auto value) {
    AddMetric(result, kParameters, metric, static_cast<double>(value));
  };
  add(kTotal, count.Total());
  add(kBlock, count.block);
  add(kExecuted, count.executed);
  add(kBlockRemoved, ratios.block);
  add(kBlockFullRemoved, ratios.block_full);
  add(kTotalRemoved, ratios.total);
  add(kUntiedRemoved, ratios.untied);
  add(kComputeRemoved, ratios.compute);
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
  for (const Role role : kRoles) {
    const auto& rank = layer.linears[role].rank;
    if (rank) ranks.push_back(fmt::format("{}:{}", JsonString(RoleName(role)), *rank));
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
  for (const Role role : LinearRoles(config)) {
    int64_t& sum = weights[ModuleName(ModuleOf(role))];
    if (!layer.shares_with) sum += CountWeights(layer, role);
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
      AddMetric(stage, kModuleReport, kKept,
                static_cast<double>(kept[i][module]) / static_cast<double>(weights),
                FormatModulePlace({static_cast<int64_t>(i), module}));
    }
  }
}

void AddModules(const CompressionResult& result, StageResult& stage) {
  for (const LayerReport& layer : result.report.layers) {
    for (const auto& [module, part] : layer.modules) {
      const std::string task = FormatModulePlace({layer.layer, module});
      const auto add = [&](const Metric& metric, const std::optional<double>& value) {
        if (value && std::isfinite(*value)) AddMetric(stage, kModuleReport, metric, *value, task);
      };
      add(kRelativeError, part.relative_error);
      add(kCondition, part.condition);
      add(kDamping, part.damping);
    }
  }
}

void AddCost(const CompressionResult& result, StageResult& stage) {
  AddMetric(stage, kCost, kCompressSeconds, result.seconds);
  for (const auto& [phase, use] : result.phases) {
    stage.metrics.push_back(SecondsOf(phase, use.seconds));
  }
}

}  // namespace

MetricRecord SecondsOf(const std::string& phase, double seconds, const std::string& protocol) {
  return RecordOf(FindMetric(phase + "-seconds").value(), seconds, protocol);
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

StageResult DenseResult(const StoredModel& model) {
  StageResult result;
  AddParameters(model.config(), result);
  AddBytes(model, result);
  return result;
}

StageResult TransformedResult(const StoredModel& model, double ratio, Match match) {
  StageResult result = DenseResult(model);
  if (ratio == 0 || match == Match::kNominal) return result;  // a nominal ratio stays what it was
  CompressionResult counted;
  counted.config = model.config();
  counted.parameters = CountParameters(counted.config);
  counted.ratios = RatiosOf(counted.config);
  AddMetric(result, kParameters, kDeviation, RealRatio(counted, match) - ratio);
  return result;
}

StageResult CompressedResult(const CompressionResult& result, double ratio, Match match) {
  StageResult stage;
  AddParameters(result.config, stage);
  AddMetric(stage, kParameters, kNominal, result.nominal);
  AddMetric(stage, kParameters, kDeviation, RealRatio(result, match) - ratio);
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
    stage.samples.push_back({kModuleReport.id, FormatModulePlace({curve.layer, curve.group.name}),
                             "kl_curve", std::move(points)});
  }
  return stage;
}

void AddBytes(const StoredModel& stored, StageResult& result) {
  AddMetric(result, kParameters, kFileBytes, static_cast<double>(stored.FileBytes()));
}

StageResult CalibrationResult(const CalibrationSet& set) {
  StageResult result;
  const auto add = [&](const Metric& metric, double value) {
    AddMetric(result, kCalibration, metric, value);
    result.metrics.back().basis = set.hash;
    result.metrics.back().count = static_cast<int64_t>(set.sequences.size());
  };
  add(kTokens, static_cast<double>(set.tokens));
  add(kShortSequences, static_cast<double>(set.short_sequences));
  add(kFractionUsed, set.fraction_used);
  std::vector<int32_t> ids, lengths;
  for (const auto& sequence : set.sequences) {
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    lengths.push_back(static_cast<int32_t>(sequence.size()));
  }
  result.samples.push_back({kCalibration.id, "", "ids", {std::move(ids)}});
  result.samples.push_back({kCalibration.id, "", "lengths", {std::move(lengths)}});
  return result;
}

StageResult RecordsOf(const std::string& protocol, const Measured& measured) {
  StageResult result;
  for (const MeasuredValue& value : measured.values) {
    MetricRecord record = RecordOf(*value.metric, value.value, protocol);
    record.standard_error = value.standard_error;
    record.count = measured.count;
    record.basis = measured.ids_sha256;
    result.metrics.push_back(std::move(record));
  }
  for (const MeasuredSeries& series : measured.series) {
    result.samples.push_back({protocol, "", series.name, {series.values}});
  }
  return result;
}

}  // namespace condense
