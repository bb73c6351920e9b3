#include "experiment/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/sha256.h"

namespace condense {
namespace {

// Raised when a change of this program changes what a stage computes from the same inputs.
constexpr int kCompressVersion = 1;

template <class T>
std::vector<std::optional<size_t>> Positions(const std::vector<T>& values, bool used) {
  std::vector<std::optional<size_t>> positions;
  for (size_t i = 0; used && i < values.size(); ++i) positions.emplace_back(i);
  if (positions.empty()) positions.emplace_back();
  return positions;
}

std::string CellName(const ExperimentSpec& spec, const CellSetting& cell) {
  std::string name = spec.models[cell.model].name + " " + spec.methods[cell.method].label;
  if (cell.ratio) name += fmt::format(" {}", *cell.ratio);
  if (cell.calibration && spec.calibration.size() > 1) {
    name += fmt::format(" {}", spec.calibration[*cell.calibration].name);
  }
  if (cell.seed && spec.seeds.size() > 1) name += fmt::format(" #{}", *cell.seed);
  return name;
}

class CellKeys {
 public:
  CellKeys(const ExperimentSpec& spec, InputResolver& inputs) : spec_(spec), inputs_(inputs) {}

  PlannedCell Make(const CellSetting& setting) {
    PlannedCell cell{.setting = setting, .name = CellName(spec_, setting)};
    const bool found = AddIdentity(cell);
    const bool evaluable = AddStages(cell);
    cell.complete = found && evaluable;
    return cell;
  }

 private:
  // The canonical text and the fingerprint.
  bool AddIdentity(PlannedCell& cell) {
    const CellSetting& setting = cell.setting;
    const MethodSpec& method = spec_.methods[setting.method];
    const Input* model = Use(inputs_.Model(spec_.models[setting.model]), cell);
    bool found = model != nullptr;
    std::string text = fmt::format(R"({{"version":{},"model":{},"dtype":"{}")", kCompressVersion,
                                   found ? model->canonical : "null", EnumName(spec_.dtype));
    text += fmt::format(R"(,"method":{})", method.method.canonical);
    if (setting.ratio) {
      text +=
          fmt::format(R"(,"allocator":{},"match":"{}","ratio":{},"storage":"{}")",
                      method.allocator.canonical, EnumName(method.match),
                      JsonNumber(*setting.ratio), EnumName(spec_.storage.value_or(spec_.dtype)));
    }
    if (setting.calibration) {
      const Input* set =
          Use(inputs_.Calibration(spec_.calibration[*setting.calibration].name), cell);
      const Input* scores = set;
      if (spec_.score_calibration) {
        scores = Use(inputs_.Calibration(spec_.score_calibration->name), cell);
      }
      found = found && set != nullptr && scores != nullptr;
      const std::string seed = setting.seed ? std::to_string(*setting.seed) : "null";
      text += fmt::format(R"(,"calibration":{},"score_calibration":{},"seed":{})",
                          set ? set->canonical : "null", scores ? scores->canonical : "null", seed);
      calibration_ = found ? fmt::format("{} {} {}", model->canonical, set->canonical, seed) : "";
    }
    cell.canonical = text + "}";
    if (found) cell.fingerprint = Sha256Hex(cell.canonical);
    return found;
  }

  bool AddStages(PlannedCell& cell) {
    bool found = true;
    if (cell.setting.calibration) {
      // Shared by all cells that calibrate alike.
      cell.stages.push_back({StageKind::kCalibrate,
                             calibration_.empty() ? "" : Sha256Hex("calibrate " + calibration_)});
    }
    cell.stages.push_back({StageKind::kCompress, KeyOf(cell, "compress")});
    for (size_t e = 0; e < spec_.evaluators.size(); ++e) {
      const Component<Evaluator>& evaluator = spec_.evaluators[e];
      if (cell.setting.RemovesNothing() && !evaluator->ForDense()) continue;
      for (const EvaluationStage& stage : evaluator->Stages()) {
        const std::optional<Input> scored = evaluator->Inputs(stage, inputs_);
        Use(scored ? &*scored : nullptr, cell);
        found = found && scored;
        const std::string what =
            fmt::format("evaluate {} {}", evaluator.version, scored ? scored->canonical : "null");
        cell.stages.push_back({StageKind::kEvaluate, KeyOf(cell, what), e, stage});
      }
    }
    return found;
  }

  static std::string KeyOf(const PlannedCell& cell, std::string_view what) {
    return cell.fingerprint.empty() ? "" : Sha256Hex(fmt::format("{}\n{}", cell.fingerprint, what));
  }

  // Notes the records of an input, once each.
  static const Input* Use(const Input* input, PlannedCell& cell) {
    if (input == nullptr) return nullptr;
    for (const InputRecord& record : input->records) {
      const auto same = [&](const InputRecord& other) {
        return other.kind == record.kind && other.name == record.name;
      };
      if (std::none_of(cell.inputs.begin(), cell.inputs.end(), same)) cell.inputs.push_back(record);
    }
    return input;
  }

  const ExperimentSpec& spec_;
  InputResolver& inputs_;
  std::string calibration_;  // canonical, of the cell being made
};

}  // namespace

const char* PlannedStage::Kind() const {
  switch (kind) {
    case StageKind::kCalibrate:
      return "calibrate";
    case StageKind::kCompress:
      return "compress";
    case StageKind::kEvaluate:
      break;
  }
  return "evaluate";
}

std::string PlannedStage::Name() const {
  if (kind != StageKind::kEvaluate) return Kind();
  return fmt::format("{} {}", Kind(), evaluation.Name());
}

std::vector<CellSetting> ExpandCells(const ExperimentSpec& spec) {
  std::vector<CellSetting> cells;
  for (size_t model = 0; model < spec.models.size(); ++model) {
    for (size_t m = 0; m < spec.methods.size(); ++m) {
      const MethodSpec& method = spec.methods[m];
      const std::vector<double>& ratios = method.ratios.empty() ? spec.ratios : method.ratios;
      for (const auto ratio : Positions(ratios, method.uses_ratio)) {
        for (const auto calibration : Positions(spec.calibration, method.uses_calibration)) {
          for (const auto seed : Positions(spec.seeds, method.uses_calibration)) {
            CellSetting cell{.model = model, .method = m, .calibration = calibration};
            if (ratio) cell.ratio = ratios[*ratio];
            if (seed) cell.seed = spec.seeds[*seed];
            cells.push_back(cell);
          }
        }
      }
    }
  }
  return cells;
}

ExperimentPlan PlanExperiment(const ExperimentSpec& spec, InputResolver& inputs) {
  ExperimentPlan plan;
  CellKeys keys(spec, inputs);
  for (const CellSetting& setting : ExpandCells(spec)) plan.cells.push_back(keys.Make(setting));
  plan.missing = inputs.missing();
  return plan;
}

std::vector<size_t> WorkOrder(const ExperimentPlan& plan) {
  std::vector<size_t> order(plan.cells.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto place = [&](size_t i) {
    const CellSetting& s = plan.cells[i].setting;
    return std::tuple(s.model, s.calibration, s.seed);  // none comes first
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return place(a) < place(b); });
  return order;
}

ExperimentRecord ExperimentRecordOf(const ExperimentSpec& spec) {
  return {.name = spec.name,
          .profile = spec.profile,
          .title = spec.title,
          .spec = spec.canonical,
          .file = spec.file.string()};
}

std::vector<ExperimentCell> CellRecords(const ExperimentSpec& spec, const ExperimentPlan& plan) {
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
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace condense
