#include "compression/allocation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "compression/module_trials.h"

namespace condense {

const char* ModuleName(Module module) {
  switch (module) {
    case Module::kMlp:
      return "mlp";
    case Module::kQk:
      return "qk";
    case Module::kVo:
      return "vo";
  }
  return "?";
}

Module ModuleOf(const std::string& role) {
  if (role == "attention.q" || role == "attention.k") return Module::kQk;
  return role == "attention.v" || role == "attention.o" ? Module::kVo : Module::kMlp;
}

double ModuleShare(const ModelConfig& dense, Module module) {
  const LayerConfig& layer = dense.Dense().layers.at(0);
  double total = 0, part = 0;
  for (const std::string& role : LinearRoles(dense)) {
    const auto [out, in] = LinearShape(dense, layer, role);
    const double count = static_cast<double>(out) * static_cast<double>(in);
    total += count;
    if (ModuleOf(role) == module) part += count;
  }
  return part / total;
}

double& ModuleSparsity::of(Module module) {
  return module == Module::kMlp ? mlp : module == Module::kQk ? qk : vo;
}

double ModuleSparsity::of(Module module) const {
  return const_cast<ModuleSparsity*>(this)->of(module);
}

double MeanSparsity(const ModelConfig& dense, const Allocation& allocation) {
  double sum = 0;
  for (const Module module : kModules) {
    const double share = ModuleShare(dense, module);
    for (const ModuleSparsity& layer : allocation) sum += share * layer.of(module);
  }
  return sum / static_cast<double>(allocation.size());
}

std::vector<ModuleCurve> Allocator::Curves(const AllocationRequest&) const { return {}; }

std::vector<double> CapAndRedistribute(std::vector<double> removed, double cap) {
  const double total = std::accumulate(removed.begin(), removed.end(), 0.0);
  if (total > cap * static_cast<double>(removed.size()) * (1 + 1e-12)) {
    throw MakeError<ConfigError>(
        "cannot remove {:.4f} of the block weights when no layer may lose more than {:.4f}; ask "
        "for "
        "a smaller ratio or raise the cap",
        total / static_cast<double>(removed.size()), cap);
  }
  std::vector<bool> capped(removed.size(), false);
  while (true) {
    bool any = false;
    double fixed = 0, free = 0, members = 0;
    for (size_t l = 0; l < removed.size(); ++l) {
      if (!capped[l] && removed[l] > cap) capped[l] = any = true;
      if (capped[l]) removed[l] = cap;
      (capped[l] ? fixed : free) += removed[l];
      members += capped[l] ? 0 : 1;
    }
    if (!any) return removed;
    for (size_t l = 0; l < removed.size(); ++l) {
      if (capped[l]) continue;
      // Zeros have no proportions to keep.
      removed[l] = free > 0 ? removed[l] * ((total - fixed) / free) : (total - fixed) / members;
    }
  }
}

std::vector<int64_t> RoundWidths(const std::vector<double>& removed, int64_t width, int64_t unit,
                                 RoundingMode mode) {
  std::vector<int64_t> kept;
  double carry = 0;
  for (const double fraction : removed) {
    const double target = (1 - fraction) * static_cast<double>(width);
    // Differences of 1e-9 are rounding of the fractions, not intent.
    const double units = (target + carry) / static_cast<double>(unit);
    const double rounded = mode == RoundingMode::kFloor  ? std::floor(units + 1e-9)
                           : mode == RoundingMode::kCeil ? std::ceil(units - 1e-9)
                                                         : std::floor(units + 0.5 + 1e-9);
    kept.push_back(std::clamp(unit * static_cast<int64_t>(rounded), std::min(unit, width), width));
    if (mode == RoundingMode::kCarry) carry += target - static_cast<double>(kept.back());
  }
  return kept;
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
  const auto widths = [&](Module module, int64_t width, int64_t unit) {
    if (unit < 1 || unit > width) {
      throw MakeError<ConfigError>("the rounding unit {} of {} does not fit its dense width {}",
                                   unit, ModuleName(module), width);
    }
    std::vector<double> removed;
    for (const ModuleSparsity& layer : allocation) removed.push_back(layer.of(module));
    return RoundWidths(removed, width, unit, rounding.mode);
  };
  const auto mlp = widths(Module::kMlp, dense.intermediate_size, rounding.mlp_unit);
  const auto qk = widths(Module::kQk, dense.head_dim, qk_unit);
  const auto vo = widths(Module::kVo, dense.head_dim, rounding.vo_unit);
  ModelConfig config = dense.Derived();
  for (size_t l = 0; l < config.layers.size(); ++l) {
    LayerConfig& layer = config.layers[l];
    layer.mlp_width = mlp[l];
    for (HeadConfig& head : layer.heads) head.qk_width = qk[l], head.vo_width = vo[l];
    layer.selected_pairs = dense.HasRope() && qk[l] < dense.head_dim;
  }
  return config;
}

}  // namespace condense
