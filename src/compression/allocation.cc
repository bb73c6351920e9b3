#include "compression/allocation.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace condense {

double ModuleShare(const ModelConfig& dense, Module module) {
  const LayerConfig& layer = dense.Dense().layers.at(0);
  double total = 0, own = 0;
  for (const Role role : LinearRoles(dense)) {
    const auto [out, in] = LinearShape(layer, role);
    const double count = static_cast<double>(out) * static_cast<double>(in);
    total += count;
    if (ModuleOf(role) == module) own += count;
  }
  return own / total;
}

double MeanSparsity(const ModelConfig& dense, const Allocation& allocation) {
  double sum = 0;
  for (const Module module : kModules) {
    const double share = ModuleShare(dense, module);
    for (const ModuleSparsity& layer : allocation) sum += share * layer.of(module);
  }
  return sum / static_cast<double>(allocation.size());
}

namespace {

// least: of a kept width.
std::vector<int64_t> RoundWidthsFrom(int64_t least, const std::vector<double>& removed,
                                     int64_t width, int64_t unit, RoundingMode mode) {
  std::vector<int64_t> kept;
  double carry = 0;
  for (const double fraction : removed) {
    const double target = (1 - fraction) * static_cast<double>(width);
    // Differences of 1e-9 are rounding of the fractions, not intent.
    const double units = (target + carry) / static_cast<double>(unit);
    const double rounded = mode == RoundingMode::kFloor  ? std::floor(units + 1e-9)
                           : mode == RoundingMode::kCeil ? std::ceil(units - 1e-9)
                                                         : std::floor(units + 0.5 + 1e-9);
    kept.push_back(std::clamp(unit * static_cast<int64_t>(rounded), std::min(least, width), width));
    if (mode == RoundingMode::kCarry) carry += target - static_cast<double>(kept.back());
  }
  return kept;
}

// Columns of all heads as widths of each: equal but for a unit.
std::vector<int64_t> Spread(int64_t columns, int64_t heads, int64_t unit) {
  std::vector<int64_t> widths(static_cast<size_t>(heads), columns / heads);
  if (columns % (heads * unit) == 0) return widths;
  const int64_t units = columns / unit;
  for (int64_t j = 0; j < heads; ++j) {
    widths[static_cast<size_t>(j)] = unit * (units / heads + (j < units % heads ? 1 : 0));
  }
  return widths;
}

}  // namespace

std::vector<int64_t> RoundWidths(const std::vector<double>& removed, int64_t width, int64_t unit,
                                 RoundingMode mode) {
  return RoundWidthsFrom(unit, removed, width, unit, mode);
}

std::vector<int64_t> RoundPooledWidths(const std::vector<double>& removed, int64_t heads,
                                       int64_t width, int64_t unit, RoundingMode mode) {
  return RoundWidthsFrom(heads * unit, removed, heads * width, unit, mode);
}

ModelConfig NarrowedConfig(const ModelConfig& dense, const Allocation& allocation,
                           const Rounding& rounding) {
  CONDENSE_CHECK(allocation.size() == dense.layers.size(), "{} layers allocated",
                 allocation.size());
  const int64_t natural = dense.HasRope() ? 2 : 1;
  const int64_t qk_unit = rounding.qk_unit == 0 ? natural : rounding.qk_unit;
  if (qk_unit % natural != 0) {
    throw MakeError<ConfigError>(
        "query/key widths are kept in rotary pairs: the unit {} must be even", qk_unit);
  }
  const auto removed_of = [&](Module module, int64_t width, int64_t unit) {
    if (unit < 1 || unit > width) {
      throw MakeError<ConfigError>("the rounding unit {} of {} does not fit its dense width {}",
                                   unit, ModuleName(module), width);
    }
    std::vector<double> removed;
    for (const ModuleSparsity& layer : allocation) removed.push_back(layer.of(module));
    return removed;
  };
  // Widths of the heads of each layer.
  const auto head_widths = [&](Module module, int64_t unit) {
    const int64_t heads = dense.num_kv_heads, width = dense.head_dim;
    const std::vector<double> removed = removed_of(module, width, unit);
    std::vector<std::vector<int64_t>> widths;
    if (rounding.pooled_heads) {
      for (const int64_t columns : RoundPooledWidths(removed, heads, width, unit, rounding.mode)) {
        widths.push_back(Spread(columns, heads, unit));
      }
    } else {
      for (const int64_t kept : RoundWidths(removed, width, unit, rounding.mode)) {
        widths.emplace_back(static_cast<size_t>(heads), kept);
      }
    }
    return widths;
  };
  const std::vector<int64_t> mlp =
      RoundWidths(removed_of(Module::kMlp, dense.intermediate_size, rounding.mlp_unit),
                  dense.intermediate_size, rounding.mlp_unit, rounding.mode);
  const auto qk = head_widths(Module::kQk, qk_unit),
             vo = head_widths(Module::kVo, rounding.vo_unit);
  ModelConfig config = dense.Derived();
  for (size_t l = 0; l < config.layers.size(); ++l) {
    LayerConfig& layer = config.layers[l];
    layer.mlp_width = mlp[l];
    for (size_t j = 0; j < layer.heads.size(); ++j) {
      layer.heads[j].qk_width = qk[l][j];
      layer.heads[j].vo_width = vo[l][j];
    }
    layer.selected_pairs = dense.HasRope() && layer.KeyWidth() < dense.layers[l].KeyWidth();
  }
  return config;
}

}  // namespace condense
