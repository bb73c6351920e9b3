// runner show: everything recorded about one cell (protocols.md 8).
#include <fmt/format.h>

#include <iostream>

#include "base/strings.h"
#include "report/number_format.h"
#include "results/results_store.h"
#include "runner/command.h"

namespace condense {
namespace {

void Line(const std::string& name, const std::string& value) {
  if (!value.empty()) std::cout << fmt::format("  {:<14} {}\n", name, value);
}

std::string Seconds(const std::optional<double>& seconds) {
  return seconds ? HumanDuration(*seconds) : "";
}

void PrintRun(const CellDetail& detail) {
  const RunRecord& run = detail.run;
  std::cout << "cell " << run.fingerprint << "\n";
  Line("status", fmt::format("{}, attempt {}", ToText(run.state.status), run.state.attempt));
  if (!run.state.error_message.empty()) {
    Line("error", fmt::format("{}: {}", run.state.error_class, run.state.error_message));
  }
  Line("started", run.state.started);
  Line("finished", run.state.finished);
  Line("model", fmt::format("{} in {}", run.model, run.dtype));
  Line("method", run.method);
  Line("parameters", run.method_params);
  if (run.nominal_ratio) Line("ratio", fmt::format("{} ({})", *run.nominal_ratio, run.match));
  Line("calibration", run.calibration);
  if (run.seed) Line("seed", std::to_string(*run.seed));
  for (const auto& membership : detail.experiments) {
    Line("experiment",
         fmt::format("{} {} {} {}", membership.experiment.name, membership.experiment.profile,
                     membership.label, membership.origin));
    for (const auto& [name, value] : membership.axes) Line(name, value);
  }
}

void PrintProvenance(const CellDetail& detail) {
  std::cout << "inputs\n";
  for (const InputRecord& input : detail.inputs) {
    std::cout << fmt::format("  {:<10} {}  {}\n", input.kind, input.sha256, input.name);
  }
  for (const EnvironmentRecord& environment : detail.environments) {
    std::cout << "environment\n";
    Line("commit", environment.git_revision + (environment.git_dirty ? " with changes" : ""));
    Line("program", fmt::format("{} ({}, {})", environment.binary_sha256, environment.build_type,
                                environment.compiler));
    Line("LibTorch", environment.libtorch);
    Line("machine",
         fmt::format("{}, {}, {} cores, {}", environment.host, environment.cpu, environment.cores,
                     HumanBytes(static_cast<uint64_t>(environment.memory_bytes))));
    Line("computation", fmt::format("{}, {} threads, {}", environment.device, environment.threads,
                                    environment.details));
  }
}

void PrintStages(const CellDetail& detail) {
  std::cout << "stages\n";
  for (const StageRecord& stage : detail.stages) {
    std::string text = fmt::format("  {:<24} {:<8} {:>10}", stage.name, ToText(stage.state.status),
                                   Seconds(stage.seconds));
    if (stage.peak_rss_bytes) {
      text += fmt::format("  peak {}", HumanBytes(static_cast<uint64_t>(*stage.peak_rss_bytes)));
    }
    if (stage.cached) text += "  (reused from another cell)";
    if (!stage.artefact.empty()) text += "  " + stage.artefact;
    std::cout << text << "\n";
  }
}

void PrintNumbers(const CellDetail& detail) {
  std::cout << "metrics\n";
  for (const MetricRecord& metric : detail.metrics) {
    std::cout << fmt::format(
        "  {:<14} {:<14} {:<20} {}{}\n", metric.protocol, metric.task, metric.metric, metric.value,
        metric.standard_error ? fmt::format(" +- {}", *metric.standard_error) : "");
  }
  if (detail.layers.empty()) return;
  std::cout << "layers  heads  query/key  value   mlp  removed\n";
  for (const LayerRecord& layer : detail.layers) {
    std::string heads = layer.heads ? fmt::format("{}/{}", *layer.heads, *layer.kv_heads) : "";
    std::cout << fmt::format("  {:>4}  {:>5}  {:>9}  {:>5}  {:>4}  {}{}\n", layer.layer, heads,
                             layer.qk_widths, layer.vo_widths, layer.mlp_widths, layer.allocation,
                             layer.ranks == "{}" ? "" : "  ranks " + layer.ranks);
  }
}

int Run(const Arguments& arguments) {
  const std::string cell = arguments.Text("cell");
  const ResultsStore store = ResultsStore::Open(arguments.Database(), OpenMode::kRead);
  const CellDetail detail = store.DescribeCell(cell);
  PrintRun(detail);
  PrintStages(detail);
  PrintNumbers(detail);
  PrintProvenance(detail);
  return 0;
}

}  // namespace

Command ShowCommand() {
  return {
      .name = "show",
      .summary = "print everything recorded about one cell",
      .usage = "runner show FINGERPRINT",
      .details =
          "Prints where a number comes from: settings, digests of the inputs, program and machine,\n"
          "stages, metrics and layers. --dry-run and the CSV tables print fingerprints.",
      .example = "runner show 3fa9c1",
      .options = {TextOption("cell", "FINGERPRINT",
                             "fingerprint of the cell; its first characters are enough")},
      .positional = {"cell"},
      .run = Run};
}

}  // namespace condense
