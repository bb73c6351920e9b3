#include "experiment/plan/axes.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace condense {
namespace {

// A cell per value.
template <class Values, class Set>
std::vector<CellSetting> Each(const CellSetting& cell, const Values& values, const Set& set) {
  std::vector<CellSetting> cells;
  for (size_t i = 0; i < values.size(); ++i) {
    cells.push_back(cell);
    set(cells.back(), i);
  }
  return cells;
}

Axis ModelAxis(const ExperimentSpec& spec) {
  return {.name = "model",
          .settings =
              [&](const CellSetting& cell) {
                return Each(cell, spec.models, [](CellSetting& c, size_t i) { c.model = i; });
              },
          .name_part = [&](const CellSetting& cell) { return spec.models[cell.model].name; },
          .canonical =
              [&](const CellSetting& cell, CellInputs& inputs) {
                return fmt::format(R"(,"model":{},"dtype":"{}")",
                                   inputs.Use(inputs.resolver().Model(spec.models[cell.model])),
                                   EnumName(spec.dtype));
              },
          .batch = [](const CellSetting& cell) { return cell.model; }};
}

Axis MethodAxis(const ExperimentSpec& spec) {
  return {.name = "method",
          .settings =
              [&](const CellSetting& cell) {
                return Each(cell, spec.methods, [](CellSetting& c, size_t i) { c.method = i; });
              },
          .name_part = [&](const CellSetting& cell) { return spec.methods[cell.method].label; },
          .canonical =
              [&](const CellSetting& cell, CellInputs&) {
                return fmt::format(R"(,"method":{})", spec.methods[cell.method].method.canonical);
              }};
}

Axis RatioAxis(const ExperimentSpec& spec) {
  const auto settings = [&](const CellSetting& cell) -> std::vector<CellSetting> {
    const MethodSpec& method = spec.methods[cell.method];
    if (!method.uses_ratio) return {};
    const std::vector<double>& ratios = method.ratios.empty() ? spec.ratios : method.ratios;
    return Each(cell, ratios, [&](CellSetting& c, size_t i) { c.ratio = ratios[i]; });
  };
  const auto canonical = [&](const CellSetting& cell, CellInputs&) -> std::string {
    if (!cell.ratio) return "";
    const MethodSpec& method = spec.methods[cell.method];
    return fmt::format(R"(,"allocator":{},"match":"{}","ratio":{},"storage":"{}")",
                       method.allocator.canonical, EnumName(method.match), JsonNumber(*cell.ratio),
                       EnumName(spec.storage.value_or(spec.dtype)));
  };
  return {
      .name = "ratio",
      .settings = settings,
      .name_part =
          [](const CellSetting& cell) { return cell.ratio ? fmt::format("{}", *cell.ratio) : ""; },
      .canonical = canonical};
}

Axis CalibrationAxis(const ExperimentSpec& spec) {
  const auto settings = [&](const CellSetting& cell) -> std::vector<CellSetting> {
    if (!spec.methods[cell.method].uses_calibration) return {};
    return Each(cell, spec.calibration, [](CellSetting& c, size_t i) { c.calibration = i; });
  };
  const auto name_part = [&](const CellSetting& cell) -> std::string {
    return cell.calibration && spec.calibration.size() > 1
               ? spec.calibration[*cell.calibration].name
               : "";
  };
  const auto canonical = [&](const CellSetting& cell, CellInputs& inputs) -> std::string {
    if (!cell.calibration) return "";
    const std::string& name = spec.calibration[*cell.calibration].name;
    const std::string set = inputs.Use(inputs.resolver().Calibration(name));
    const std::string scores =
        spec.score_calibration
            ? inputs.Use(inputs.resolver().Calibration(spec.score_calibration->name))
            : set;
    // Results from before there was a choice are those of float64.
    const std::string math = spec.gram_math == GramMath::kFloat64
                                 ? ""
                                 : fmt::format(R"(,"gram_math":"{}")", EnumName(spec.gram_math));
    return fmt::format(R"(,"calibration":{},"score_calibration":{}{})", set, scores, math);
  };
  return {.name = "calibration",
          .settings = settings,
          .name_part = name_part,
          .canonical = canonical,
          .batch = [](const CellSetting& cell) { return cell.calibration; }};
}

Axis SeedAxis(const ExperimentSpec& spec) {
  const auto settings = [&](const CellSetting& cell) -> std::vector<CellSetting> {
    if (!spec.methods[cell.method].uses_calibration) return {};
    return Each(cell, spec.seeds, [&](CellSetting& c, size_t i) { c.seed = spec.seeds[i]; });
  };
  const auto name_part = [&](const CellSetting& cell) {
    return cell.seed && spec.seeds.size() > 1 ? fmt::format("#{}", *cell.seed) : "";
  };
  const auto canonical = [](const CellSetting& cell, CellInputs&) -> std::string {
    if (!cell.calibration) return "";
    return fmt::format(R"(,"seed":{})", cell.seed ? std::to_string(*cell.seed) : "null");
  };
  return {.name = "seed",
          .settings = settings,
          .name_part = name_part,
          .canonical = canonical,
          .batch = [](const CellSetting& cell) { return cell.seed; }};
}

// The method's own settings of a transform, where it has some.
const std::vector<TransformValue>& ValuesOf(const ExperimentSpec& spec, const CellSetting& cell,
                                            size_t axis) {
  for (const TransformAxis& own : spec.methods[cell.method].transforms) {
    if (own.name == spec.transforms[axis].name) return own.values;
  }
  return spec.transforms[axis].values;
}

Axis TransformAxisOf(const ExperimentSpec& spec, size_t axis) {
  const auto settings = [&spec, axis](const CellSetting& cell) {
    std::vector<CellSetting> cells;
    const std::vector<TransformValue>& values = ValuesOf(spec, cell, axis);
    for (size_t i = 0; i < values.size(); ++i) {
      const Component<Transform>& transform = values[i].transform;
      if (transform && cell.RemovesNothing() && !transform->ForDense()) continue;
      cells.push_back(cell);
      cells.back().transforms[axis] = i;
    }
    return cells;
  };
  const auto text = [&spec, axis](const CellSetting& cell) -> std::string {
    const auto value = cell.transforms.find(axis);
    return value == cell.transforms.end() ? "" : ValuesOf(spec, cell, axis)[value->second].text;
  };
  const auto name_part = [&spec, axis, text](const CellSetting& cell) -> std::string {
    const std::string value = text(cell);
    return value.empty() ? "" : fmt::format("{}: {}", spec.transforms[axis].name, value);
  };
  return {.name = spec.transforms[axis].name,
          .settings = settings,
          .name_part = name_part,
          .key = text};
}

}  // namespace

std::string CellInputs::Use(const Input* input) {
  if (input == nullptr) {
    complete_ = false;
    return "null";
  }
  for (const InputRecord& record : input->records) {
    const auto same = [&](const InputRecord& other) {
      return other.kind == record.kind && other.name == record.name;
    };
    if (std::none_of(records_.begin(), records_.end(), same)) records_.push_back(record);
  }
  return input->canonical;
}

std::vector<Component<Transform>> TransformsOf(const ExperimentSpec& spec,
                                               const CellSetting& setting) {
  std::vector<Component<Transform>> transforms;
  for (const auto& [axis, value] : setting.transforms) {
    const Component<Transform>& transform = ValuesOf(spec, setting, axis)[value].transform;
    if (transform) transforms.push_back(transform);
  }
  return transforms;
}

std::vector<Axis> AxesOf(const ExperimentSpec& spec) {
  std::vector<Axis> axes = {ModelAxis(spec), MethodAxis(spec), RatioAxis(spec),
                            CalibrationAxis(spec), SeedAxis(spec)};
  for (size_t i = 0; i < spec.transforms.size(); ++i) axes.push_back(TransformAxisOf(spec, i));
  return axes;
}

std::vector<CellSetting> ExpandCells(const ExperimentSpec& spec) {
  std::vector<CellSetting> cells = {{}};
  for (const Axis& axis : AxesOf(spec)) {
    std::vector<CellSetting> expanded;
    for (const CellSetting& cell : cells) {
      std::vector<CellSetting> settings = axis.settings(cell);
      if (settings.empty()) settings.push_back(cell);
      expanded.insert(expanded.end(), settings.begin(), settings.end());
    }
    cells = std::move(expanded);
  }
  return cells;
}

}  // namespace condense
