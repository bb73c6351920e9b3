#include "model/model_config.h"

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
