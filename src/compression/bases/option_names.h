// Settings that several methods share, with their names in YAML.
#pragma once

#include <array>
#include <utility>

#include "compression/compressor.h"
#include "config/fields.h"

namespace condense {

template <>
struct EnumNames<Refresh> {
  static constexpr std::array names{std::pair{Refresh::kNone, "none"},
                                    std::pair{Refresh::kLayer, "layer"},
                                    std::pair{Refresh::kModule, "module"}};
};

template <>
struct EnumNames<RoundingMode> {
  static constexpr std::array names{
      std::pair{RoundingMode::kCarry, "carry"}, std::pair{RoundingMode::kFloor, "floor"},
      std::pair{RoundingMode::kNearest, "nearest"}, std::pair{RoundingMode::kCeil, "ceil"}};
};

// Which modules of a block a method touches.
struct ModuleSwitches : PerModule<bool> {
  ModuleSwitches() : PerModule{.mlp = true, .qk = true, .vo = true} {}
  template <class V>
  void Fields(V&& field) {
    field("mlp", mlp, "compress the MLP");
    field("qk", qk, "compress queries and keys");
    field("vo", vo, "compress values and outputs");
  }
  void Validate(const Node& at, Problems& problems) const {
    if (!mlp && !qk && !vo) problems.Add(at, "at least one module must be compressed");
  }
};

}  // namespace condense
