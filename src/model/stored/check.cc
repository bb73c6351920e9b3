#include "model/stored/check.h"

#include "base/error.h"

namespace condense {
namespace {

void CheckLinear(const LayerConfig& layer, const Block& block, int64_t position, Role role) {
  const Linear& linear = block.LinearOf(role);
  const LinearConfig& expected = layer.linears[role];
  const auto [out, in] = LinearShape(layer, role);
  const char* name = RoleName(role);
  CONDENSE_CHECK(linear.weight.defined() || linear.factored(), "layer {} {} is empty", position,
                 name);
  CONDENSE_CHECK(linear.out() == out && linear.in() == in,
                 "layer {} {} is [{}, {}], expected [{}, {}]", position, name, linear.out(),
                 linear.in(), out, in);
  CONDENSE_CHECK(linear.factored() == expected.rank.has_value(), "layer {} {}", position, name);
  if (linear.factored()) {
    CONDENSE_CHECK(linear.a.size(0) == *expected.rank && linear.b.size(1) == *expected.rank,
                   "layer {} {}: rank", position, name);
  }
  CONDENSE_CHECK(linear.bias.defined() == expected.bias, "layer {} {}: bias", position, name);
}

}  // namespace

void CheckBlockShape(const ModelConfig& config, const LayerConfig& layer, Block& block,
                     int64_t position) {
  for (const Role role : LinearRoles(config)) CheckLinear(layer, block, position, role);
  CONDENSE_CHECK(block.attention.heads == layer.heads, "layer {}: head widths", position);
  CONDENSE_CHECK(block.attention.window == layer.window, "layer {}: window", position);
  CONDENSE_CHECK(block.attn_shortcut.defined() == layer.attn_shortcut, "layer {}", position);
  CONDENSE_CHECK(block.mlp_shortcut.defined() == layer.mlp_shortcut, "layer {}", position);
  CONDENSE_CHECK(block.attention.rope_pairs.defined() == layer.selected_pairs,
                 "layer {}: rotary pairs", position);
}

void CheckShapes(const CausalLm& model) {
  const ModelConfig& config = model.config();
  CONDENSE_CHECK(static_cast<size_t>(config.num_layers()) == model.blocks().size(),
                 "{} blocks, {} layers", model.blocks().size(), config.num_layers());
  CONDENSE_CHECK(model.embedding().tokens.size(1) == config.embedding_width, "embedding width");
  CONDENSE_CHECK(model.head().linear.in() == config.head_width, "head width");
  for (int64_t l = 0; l < config.num_layers(); ++l) {
    Block block = model.LoadBlock(l);
    CheckBlockShape(config, config.layers[static_cast<size_t>(l)], block, l);
  }
}

void RequireFiniteWeights(const Tensor& tensor, const std::string& name, const std::string& file) {
  if (!tensor.is_floating_point() || tensor.numel() == 0) return;
  if (at::isfinite(tensor).all().item<bool>()) return;
  const int64_t bad = (~at::isfinite(tensor)).sum().item<int64_t>();
  throw MakeError<DataError>(
      "{}: tensor '{}' holds {} value(s) that are not finite (NaN or infinity); the checkpoint is "
      "damaged",
      file, name, bad);
}

void RequireKnownIds(const ModelConfig& config, std::span<const int32_t> ids,
                     const std::string& source) {
  for (const int32_t id : ids) {
    if (id >= 0 && id < config.vocab_size) continue;
    throw MakeError<DataError>(
        "{}: holds token id {}, the model has {} ids; tokenizer and weights are not of one model",
        source, id, config.vocab_size);
  }
}

}  // namespace condense
