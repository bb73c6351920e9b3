#include "compression/allocators/module_weights.h"

#include <array>

#include "base/error.h"

namespace condense {
namespace {

constexpr size_t kCount = std::size(kModules);

struct Member {
  Module module;
  double share = 0, weight = 0;
};

// The fractions of one layer that loses `fraction` of its weights.
ModuleSparsity OverMembers(const std::array<Member, kCount>& members, double fraction, double cap) {
  ModuleSparsity removed;
  std::array<bool, kCount> full{};
  double budget = fraction;
  for (size_t round = 0; round < kCount; ++round) {
    double weight = 0;
    for (size_t i = 0; i < kCount; ++i) {
      if (!full[i]) weight += members[i].share * members[i].weight;
    }
    if (weight == 0) break;
    bool any = false;
    for (size_t i = 0; i < kCount; ++i) {
      if (full[i]) continue;
      double& module = removed.of(members[i].module);
      module = members[i].weight * budget / weight;
      if (module > cap * (1 + 1e-12)) full[i] = any = true;
    }
    if (!any) return removed;
    budget = fraction;
    for (size_t i = 0; i < kCount; ++i) {
      if (!full[i]) continue;
      removed.of(members[i].module) = cap;
      budget -= members[i].share * cap;
    }
  }
  if (budget > 1e-12) {
    throw MakeError<ConfigError>("the module weights leave too little to remove {:.4f} of a layer",
                                 fraction);
  }
  return removed;
}

}  // namespace

Allocation OverModules(const ModelConfig& dense, const std::vector<double>& removed,
                       const PerModule<double>& weights, double cap) {
  std::array<Member, kCount> members;
  for (size_t i = 0; i < kCount; ++i) {
    const Module module = kModules[i];
    members[i] = {
        .module = module, .share = ModuleShare(dense, module), .weight = weights.of(module)};
  }
  Allocation allocation;
  for (const double fraction : removed) allocation.push_back(OverMembers(members, fraction, cap));
  return allocation;
}

}  // namespace condense
