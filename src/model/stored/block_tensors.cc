#include "model/stored/block_tensors.h"

#include "base/strings.h"

namespace condense {
namespace {

// Of a tensor of a linear map: as ExpectedShape().
std::optional<std::vector<int64_t>> ExpectedLinearShape(const LayerConfig& layer,
                                                        const LinearTensor& tensor) {
  const LinearConfig& linear = layer.linears[tensor.role];
  const auto [out, in] = LinearShape(layer, tensor.role);
  const bool factored = linear.rank.has_value();
  const int64_t rank = linear.rank.value_or(0);
  std::vector<int64_t> shape;
  switch (tensor.part) {
    case LinearPart::kWeight:
      if (!factored) shape = {out, in};
      break;
    case LinearPart::kA:
      if (factored) shape = {rank, in};
      break;
    case LinearPart::kB:
      if (factored) shape = {out, rank};
      break;
    case LinearPart::kBias:
      if (linear.bias) shape = {out};
      break;
    case LinearPart::kScale:
      if (linear.scale) shape = {out};
      break;
  }
  if (shape.empty()) return std::nullopt;
  return shape;
}

}  // namespace

bool IsLinearWeight(const std::string& role_name) {
  const auto linear = LinearTensorNamed(role_name);
  return linear && linear->is_weight();
}

std::optional<std::vector<int64_t>> ExpectedShape(const ModelConfig& config,
                                                  const LayerConfig& layer,
                                                  const std::string& role_name) {
  if (const auto linear = LinearTensorNamed(role_name)) {
    if (linear->role == Role::kGate && !config.gated_mlp) return std::nullopt;
    return ExpectedLinearShape(layer, *linear);
  }
  if (role_name == "attention.rope_pairs") {
    if (!layer.selected_pairs) return std::nullopt;
    return std::vector<int64_t>{layer.KeyWidth() / 2};
  }
  if (role_name == "attn_shortcut") {
    if (!layer.attn_shortcut) return std::nullopt;
    return std::vector<int64_t>{layer.in_width, layer.mid_width};
  }
  if (role_name == "mlp_shortcut") {
    if (!layer.mlp_shortcut) return std::nullopt;
    return std::vector<int64_t>{layer.mid_width, layer.out_width};
  }
  // What is left are the norms.
  if (config.norm == NormKind::kPlainRms) return std::nullopt;
  if (EndsWith(role_name, ".bias") && config.norm != NormKind::kLayer) return std::nullopt;
  return std::vector<int64_t>{StartsWith(role_name, "norm1.") ? layer.in_width : layer.mid_width};
}

Block EmptyBlock(const ModelConfig& config, const LayerConfig& layer) {
  Block block;
  block.source = layer.source;
  block.shares_with = layer.shares_with;
  for (Norm* norm : {&block.norm1, &block.norm2}) {
    *norm = Norm{.kind = config.norm, .eps = config.norm_eps, .divisor = config.norm_divisor};
  }
  block.attention.heads = layer.heads;
  block.attention.scale = layer.attention_scale;
  block.attention.window = layer.window;
  block.mlp.activation = config.activation;
  return block;
}

}  // namespace condense
