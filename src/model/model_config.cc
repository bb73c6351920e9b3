#include "model/model_config.h"

#include <algorithm>

namespace condense {

int64_t LayerConfig::QueryWidth() const {
  int64_t width = 0;
  for (const HeadConfig& head : heads) width += head.queries * head.qk_width;
  return width;
}

int64_t LayerConfig::KeyWidth() const {
  int64_t width = 0;
  for (const HeadConfig& head : heads) width += head.qk_width;
  return width;
}

int64_t LayerConfig::ValueWidth() const {
  int64_t width = 0;
  for (const HeadConfig& head : heads) width += head.vo_width;
  return width;
}

int64_t LayerConfig::OutputWidth() const {
  int64_t width = 0;
  for (const HeadConfig& head : heads) width += head.queries * head.vo_width;
  return width;
}

ModelConfig ModelConfig::Derived() const {
  ModelConfig derived = *this;
  if (!derived.base) derived.base = std::make_shared<const ModelConfig>(*this);
  return derived;
}

int64_t ModelConfig::LongestText() const {
  if (!rope || !rope->scaling) return max_positions;
  // Linear and dynamic scaling, and YaRN without an original length, count from max_positions. A
  // file may name the extended length there already; then the limit is too generous, not wrong.
  const auto extended = [this](double factor) {
    return static_cast<int64_t>(static_cast<double>(max_positions) * std::max(1.0, factor));
  };
  if (const auto* linear = std::get_if<LinearRope>(&*rope->scaling)) {
    return extended(linear->factor);
  }
  if (const auto* dynamic = std::get_if<DynamicRope>(&*rope->scaling)) {
    return extended(dynamic->factor);
  }
  if (const auto* yarn = std::get_if<YarnRope>(&*rope->scaling)) {
    const auto reach = static_cast<double>(yarn->original_max_positions) * yarn->factor;
    return std::max(max_positions, static_cast<int64_t>(reach));
  }
  return max_positions;
}

std::vector<Role> LinearRoles(const ModelConfig& config) {
  std::vector<Role> roles{Role::kQuery, Role::kKey, Role::kValue, Role::kOutput};
  if (config.gated_mlp) roles.push_back(Role::kGate);
  roles.push_back(Role::kUp);
  roles.push_back(Role::kDown);
  return roles;
}

MatrixShape LinearShape(const LayerConfig& layer, Role role) {
  switch (role) {
    case Role::kQuery:
      return {layer.QueryWidth(), layer.in_width};
    case Role::kKey:
      return {layer.KeyWidth(), layer.in_width};
    case Role::kValue:
      return {layer.ValueWidth(), layer.in_width};
    case Role::kOutput:
      return {layer.mid_width, layer.OutputWidth()};
    case Role::kGate:
    case Role::kUp:
      return {layer.mlp_width, layer.mid_width};
    case Role::kDown:
      return {layer.out_width, layer.mlp_width};
  }
  return {};
}

}  // namespace condense
