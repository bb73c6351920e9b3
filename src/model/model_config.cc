#include "model/model_config.h"

#include "base/error.h"

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

bool LayerConfig::HasBias(const std::string& role) const {
  const auto found = bias.find(role);
  return found != bias.end() && found->second;
}

ModelConfig ModelConfig::Derived() const {
  ModelConfig derived = *this;
  if (!derived.base) derived.base = std::make_shared<const ModelConfig>(*this);
  return derived;
}

std::vector<std::string> LinearRoles(const ModelConfig& config) {
  std::vector<std::string> roles;
  for (const std::string role : kLinearRoles) {
    if (role != "mlp.gate" || config.gated_mlp) roles.push_back(role);
  }
  return roles;
}

MatrixShape LinearShape(const ModelConfig&, const LayerConfig& layer, const std::string& role) {
  if (role == "attention.q") return {layer.QueryWidth(), layer.in_width};
  if (role == "attention.k") return {layer.KeyWidth(), layer.in_width};
  if (role == "attention.v") return {layer.ValueWidth(), layer.in_width};
  if (role == "attention.o") return {layer.mid_width, layer.OutputWidth()};
  if (role == "mlp.gate" || role == "mlp.up") return {layer.mlp_width, layer.mid_width};
  if (role == "mlp.down") return {layer.out_width, layer.mlp_width};
  CONDENSE_CHECK(false, "role {}", role);
  return {};
}

}  // namespace condense
