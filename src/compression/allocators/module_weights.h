// How an allocator shares a layer's budget between its modules (methods.md 2, "Module weights").
#pragma once

#include <vector>

#include "compression/allocation.h"
#include "config/fields.h"

namespace condense {

// An option of allocators.
struct ModuleWeights : PerModule<double> {
  static constexpr const char* kHelp = "relative removal from the modules of a layer";
  ModuleWeights() : PerModule{.mlp = 1, .qk = 1, .vo = 1} {}
  template <class V>
  void Fields(V&& field) {
    field("mlp", mlp, "weight of the MLP", Range{0, 100});
    field("qk", qk, "weight of query and key", Range{0, 100});
    field("vo", vo, "weight of value and output", Range{0, 100});
  }
};

// phi_{l,M} = weight_M phi_l / sum_M share_M weight_M. What a module cannot take, because it would
// lose more than `cap`, goes to the others of its layer. ConfigError if they cannot take it.
Allocation OverModules(const ModelConfig& dense, const std::vector<double>& removed,
                       const PerModule<double>& weights, double cap);

}  // namespace condense
