#include "model/parameters.h"

namespace condense {
namespace {

int64_t NormParameters(const ModelConfig& config, int64_t width) {
  switch (config.norm) {
    case NormKind::kRms:
      return width;
    case NormKind::kLayer:
      return 2 * width;
    case NormKind::kPlainRms:
      return 0;
  }
  return 0;
}

struct LayerCount {
  int64_t weights = 0, extras = 0, shortcuts = 0;
};

LayerCount CountLayer(const ModelConfig& config, const LayerConfig& layer) {
  LayerCount count;
  for (const Role role : LinearRoles(config)) {
    const int64_t out = LinearShape(layer, role).out;
    count.weights += CountWeights(layer, role);
    if (layer.linears[role].bias) count.extras += out;
    if (layer.linears[role].scale) count.extras += out;
  }
  if (layer.attn_shortcut) count.shortcuts += layer.in_width * layer.mid_width;
  if (layer.mlp_shortcut) count.shortcuts += layer.mid_width * layer.out_width;
  count.extras += NormParameters(config, layer.in_width) + NormParameters(config, layer.mid_width);
  return count;
}

double Removed(int64_t now, int64_t dense) {
  return dense == 0 ? 0 : 1 - static_cast<double>(now) / static_cast<double>(dense);
}

}  // namespace

int64_t CountWeights(const LayerConfig& layer, Role role) {
  const auto [out, in] = LinearShape(layer, role);
  const std::optional<int64_t>& rank = layer.linears[role].rank;
  return rank ? *rank * (out + in) : out * in;
}

ParameterCount CountParameters(const ModelConfig& config) {
  ParameterCount count;
  for (const LayerConfig& layer : config.layers) {
    const LayerCount one = CountLayer(config, layer);
    count.executed += one.weights + one.shortcuts;
    count.block += one.shortcuts + (layer.shares_with ? 0 : one.weights);
    count.block_extras += one.extras;
  }
  count.outside = config.vocab_size * config.embedding_width +
                  config.position_rows * config.embedding_width +
                  NormParameters(config, config.head_width);
  const int64_t head = config.vocab_size * config.head_width;
  (config.tied_head ? count.tied : count.outside) += head;
  if (config.head_bias) count.outside += config.vocab_size;
  return count;
}

RealRatios RatiosOf(const ModelConfig& compressed) {
  const ParameterCount now = CountParameters(compressed);
  const ParameterCount dense = CountParameters(compressed.Dense());
  return {.block = Removed(now.block, dense.block),
          .block_full = Removed(now.block + now.block_extras, dense.block + dense.block_extras),
          .total = Removed(now.Total(), dense.Total()),
          .untied = Removed(now.UntiedTotal(), dense.UntiedTotal()),
          .compute = Removed(now.executed, dense.executed)};
}

int64_t CountMacs(const ModelConfig& config, int64_t positions) {
  int64_t attended = 0;  // width of what attention multiplies, over all query heads
  for (const LayerConfig& layer : config.layers)
    attended += layer.QueryWidth() + layer.OutputWidth();
  const int64_t weights = CountParameters(config).executed + config.vocab_size * config.head_width;
  return positions * weights + positions * positions * attended;
}

int64_t KvBytesPerToken(const ModelConfig& config, int64_t element_bytes) {
  int64_t width = 0;
  for (const LayerConfig& layer : config.layers) width += layer.KeyWidth() + layer.ValueWidth();
  return width * element_bytes;
}

}  // namespace condense
