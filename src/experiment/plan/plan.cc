#include "experiment/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/sha256.h"
#include "base/strings.h"

namespace condense {
namespace {

// Raised when a change of this program changes what a stage computes from the same inputs.
constexpr int kCompressVersion = 1;

class CellPlanner {
 public:
  CellPlanner(const ExperimentSpec& spec, InputResolver& resolver)
      : spec_(spec), axes_(AxesOf(spec)), resolver_(resolver) {}

  PlannedCell Make(const CellSetting& setting) {
    PlannedCell cell{.setting = setting, .name = NameOf(setting)};
    CellInputs inputs(resolver_);
    AddModels(cell, inputs);
    cell.canonical = cell.models.back().canonical;
    cell.fingerprint = cell.models.back().fingerprint;
    AddModelStages(cell);
    AddEvaluations(cell, inputs);
    cell.complete = inputs.complete();
    cell.inputs = inputs.records();
    return cell;
  }

 private:
  std::string NameOf(const CellSetting& setting) const {
    std::vector<std::string> parts;
    for (const Axis& axis : axes_) {
      std::string part = axis.name_part(setting);
      if (!part.empty()) parts.push_back(std::move(part));
    }
    return Join(parts, " ");
  }

  // The canonical text of the compressed model, then of each transformed one, with fingerprints.
  void AddModels(PlannedCell& cell, CellInputs& inputs) const {
    std::string text = fmt::format(R"({{"version":{})", kCompressVersion);
    for (const Axis& axis : axes_) {
      if (axis.canonical) text += axis.canonical(cell.setting, inputs);
    }
    const auto add = [&](std::string canonical) {
      std::string fingerprint = inputs.complete() ? Sha256Hex(canonical) : "";
      cell.models.push_back({std::move(canonical), std::move(fingerprint)});
    };
    add(text + "}");
    std::vector<std::string> transforms;
    for (const Component<Transform>& transform : TransformsOf(spec_, cell.setting)) {
      const std::optional<Input> input = transform->Inputs(resolver_);
      const std::string data = inputs.Use(input ? &*input : nullptr);
      transforms.push_back(data.empty() ? transform.canonical
                                        : fmt::format(R"({{"transform":{},"inputs":{}}})",
                                                      transform.canonical, data));
      add(fmt::format(R"({},"transforms":[{}]}})", text, Join(transforms, ",")));
    }
  }

  void AddModelStages(PlannedCell& cell) const {
    const CellSetting& setting = cell.setting;
    const std::vector<Component<Transform>> transforms = TransformsOf(spec_, setting);
    if (setting.calibration) {
      cell.stages.push_back({"calibrate", CalibrationKey(cell), CalibrationWork{}});
    }
    for (size_t step = 0; step < cell.models.size(); ++step) {
      const std::string kind = step == 0 ? "compress" : transforms[step - 1].name;
      cell.stages.push_back({kind, KeyOf(cell.models[step].fingerprint, kind), ModelWork{step}});
    }
  }

  // Shared by all cells that calibrate alike.
  std::string CalibrationKey(const PlannedCell& cell) const {
    const CellSetting& setting = cell.setting;
    if (cell.models.front().fingerprint.empty()) return "";
    const Input* model = resolver_.Model(spec_.models[setting.model]);
    const Input* set = resolver_.Calibration(spec_.calibration[*setting.calibration].name);
    return Sha256Hex(fmt::format("calibrate {} {} {}", model->canonical, set->canonical,
                                 setting.seed ? std::to_string(*setting.seed) : "null"));
  }

  void AddEvaluations(PlannedCell& cell, CellInputs& inputs) const {
    const bool dense = cell.setting.RemovesNothing() && cell.models.size() == 1;
    for (size_t e = 0; e < spec_.evaluators.size(); ++e) {
      const Component<Evaluator>& evaluator = spec_.evaluators[e];
      if (dense && !evaluator->ForDense()) continue;
      for (const EvaluationStage& stage : evaluator->Stages()) {
        const std::optional<Input> scored = evaluator->Inputs(stage, resolver_);
        const std::string what = fmt::format("evaluate {} {}", evaluator.version,
                                             inputs.Use(scored ? &*scored : nullptr));
        cell.stages.push_back(
            {"evaluate", KeyOf(cell.fingerprint, what), EvaluationWork{e, stage}});
      }
    }
  }

  static std::string KeyOf(const std::string& fingerprint, std::string_view what) {
    return fingerprint.empty() ? "" : Sha256Hex(fmt::format("{}\n{}", fingerprint, what));
  }

  const ExperimentSpec& spec_;
  const std::vector<Axis> axes_;
  InputResolver& resolver_;
};

}  // namespace

std::string PlannedStage::Name() const {
  const auto* evaluation = std::get_if<EvaluationWork>(&work);
  return evaluation ? fmt::format("{} {}", kind, evaluation->stage.Name()) : kind;
}

std::string PlannedModel::Artefact() const { return "artefacts/" + fingerprint.substr(0, 16); }

ExperimentPlan PlanExperiment(const ExperimentSpec& spec, InputResolver& inputs) {
  ExperimentPlan plan;
  CellPlanner planner(spec, inputs);
  for (const CellSetting& setting : ExpandCells(spec)) plan.cells.push_back(planner.Make(setting));
  plan.missing = inputs.missing();
  return plan;
}

std::vector<size_t> WorkOrder(const ExperimentSpec& spec, const ExperimentPlan& plan) {
  using Batches = std::vector<std::optional<uint64_t>>;  // none comes first
  const std::vector<Axis> axes = AxesOf(spec);
  std::vector<std::pair<Batches, size_t>> order;
  for (const PlannedCell& cell : plan.cells) {
    Batches batches;
    for (const Axis& axis : axes) {
      if (axis.batch) batches.push_back(axis.batch(cell.setting));
    }
    order.emplace_back(std::move(batches), order.size());
  }
  std::sort(order.begin(), order.end());
  std::vector<size_t> cells;
  for (const auto& [batches, cell] : order) cells.push_back(cell);
  return cells;
}

ExperimentRecord ExperimentRecordOf(const ExperimentSpec& spec) {
  return {.name = spec.name,
          .profile = spec.profile,
          .title = spec.title,
          .spec = spec.canonical,
          .file = spec.file.string()};
}

std::vector<ExperimentCell> CellRecords(const ExperimentSpec& spec, const ExperimentPlan& plan) {
  const std::vector<Axis> axes = AxesOf(spec);
  std::vector<ExperimentCell> records;
  for (const PlannedCell& cell : plan.cells) {
    const CellSetting& setting = cell.setting;
    const MethodSpec& method = spec.methods[setting.method];
    ExperimentCell record;
    record.run.fingerprint = cell.fingerprint;
    record.run.canonical = cell.canonical;
    record.run.model = spec.models[setting.model].name;
    record.run.dtype = EnumName(spec.dtype);
    record.run.method = method.method.name;
    record.run.method_params = method.method.canonical;
    record.run.nominal_ratio = setting.ratio;
    if (setting.ratio) record.run.match = EnumName(method.match);
    if (setting.calibration) record.run.calibration = spec.calibration[*setting.calibration].name;
    if (setting.seed) record.run.seed = static_cast<int64_t>(*setting.seed);
    if (method.label != method.method.name) record.label = method.label;
    record.origin = fmt::format("{}:{}", method.where.file, method.where.line);
    record.inputs = cell.inputs;
    for (const Axis& axis : axes) {
      std::string key = axis.key ? axis.key(setting) : "";
      if (!key.empty()) record.axes[axis.name] = std::move(key);
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace condense
