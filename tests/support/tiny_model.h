// A small random model with calibration statistics, for tests of methods and allocators.
#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "calibration/statistics_store.h"
#include "data/calibration.h"
#include "model/causal_lm.h"

namespace condense {

struct TinyModelOptions {
  bool opt = false;  // OPT-like: LayerNorm, biases, ReLU, learned positions, tied head
  int64_t layers = 3;
  int64_t heads = 4, kv_heads = 2, head_dim = 8;
  int64_t intermediate = 48, vocab = 61;
  int64_t sequences = 16, length = 32;
  uint64_t seed = 1;
  DType dtype = kF32;
  std::optional<ModelConfig> config = {};  // instead of the sizes above
};

// Of an instance of a test: "opt", "llama", "llama_gqa".
inline std::string FamilyName(const TinyModelOptions& options) {
  if (options.opt) return "opt";
  return options.kv_heads == options.heads ? "llama" : "llama_gqa";
}

inline ModelConfig TinyConfig(const TinyModelOptions& options) {
  if (options.config) return *options.config;
  ModelConfig config;
  config.family = options.opt ? "opt" : "llama";
  config.hidden_size = config.embedding_width = config.head_width =
      options.heads * options.head_dim;
  config.vocab_size = options.vocab;
  config.head_dim = options.head_dim;
  config.num_heads = options.heads;
  config.num_kv_heads = options.opt ? options.heads : options.kv_heads;
  config.intermediate_size = options.intermediate;
  config.max_positions = 128;
  config.norm = options.opt ? NormKind::kLayer : NormKind::kRms;
  config.activation = options.opt ? Activation::kRelu : Activation::kSilu;
  config.gated_mlp = !options.opt;
  config.tied_head = options.opt;
  if (options.opt) {
    config.position_offset = 2;
    config.position_rows = config.max_positions + 2;
  } else {
    config.rope = RopeConfig{};
  }
  LayerConfig layer;
  layer.heads.assign(static_cast<size_t>(config.num_kv_heads),
                     {.queries = config.num_heads / config.num_kv_heads,
                      .qk_width = options.head_dim,
                      .vo_width = options.head_dim});
  layer.mlp_width = options.intermediate;
  layer.attention_scale = 1 / std::sqrt(static_cast<double>(options.head_dim));
  layer.in_width = layer.mid_width = layer.out_width = config.hidden_size;
  if (options.opt) {
    for (const Role role : LinearRoles(config)) layer.linears[role].bias = true;
  }
  for (int64_t l = 0; l < options.layers; ++l) {
    layer.source = l;
    config.layers.push_back(layer);
  }
  return config;
}

inline std::unique_ptr<CausalLm> MakeTinyModel(const TinyModelOptions& options) {
  const ModelConfig config = TinyConfig(options);
  at::manual_seed(options.seed);
  const auto random = [&](at::IntArrayRef shape, double scale) {
    return at::randn(shape, kF64).mul(scale).to(options.dtype);
  };
  const auto norm = [&](int64_t width) {
    Norm made{.kind = config.norm, .eps = config.norm_eps};
    made.weight = (random({width}, 0.2) + 1).to(options.dtype);
    if (config.norm == NormKind::kLayer) made.bias = random({width}, 0.1);
    return made;
  };
  CausalLmBuilder builder("tiny");
  Embedding embedding{.tokens = random({config.vocab_size, config.hidden_size}, 1),
                      .positions = {},
                      .offset = config.position_offset};
  if (config.position_rows > 0) {
    embedding.positions = random({config.position_rows, config.hidden_size}, 0.3);
  }
  builder.PutEmbedding(embedding);
  for (const LayerConfig& layer : config.layers) {
    Block block;
    block.source = layer.source;
    block.norm1 = norm(config.hidden_size);
    block.norm2 = norm(config.hidden_size);
    block.attention.heads = layer.heads;
    block.attention.scale = layer.attention_scale;
    block.attention.window = layer.window;
    block.mlp.activation = config.activation;
    // Layers differ in how much they add to the stream, so that block influence tells them apart.
    const double strength = 0.3 + 0.25 * static_cast<double>((layer.source * 5) % 7);
    for (const Role role : LinearRoles(config)) {
      const auto [out, in] = LinearShape(layer, role);
      const bool writes = role == Role::kOutput || role == Role::kDown;
      Linear& linear = block.LinearOf(role);
      linear.weight =
          random({out, in}, (writes ? strength : 1) / std::sqrt(static_cast<double>(in)));
      if (layer.linears[role].bias) linear.bias = random({out}, 0.1);
    }
    builder.PutBlock(layer.source, block);
  }
  Head head{.norm = norm(config.hidden_size), .linear = {}};
  head.linear.weight =
      config.tied_head ? embedding.tokens : random({config.vocab_size, config.hidden_size}, 0.3);
  builder.PutHead(head);
  builder.Finish(config);
  return builder.Take();
}

inline CalibrationSet RandomCalibration(const TinyModelOptions& options) {
  at::manual_seed(options.seed + 100);
  CalibrationSet set;
  set.id = "random";
  for (int64_t i = 0; i < options.sequences; ++i) {
    const Tensor ids = at::randint(options.vocab, {options.length}, kI64);
    const int64_t* values = ids.const_data_ptr<int64_t>();
    set.sequences.emplace_back(values, values + options.length);
  }
  set.hash = CalibrationHash(set.sequences);
  set.tokens = options.sequences * options.length;
  return set;
}

struct TinyModel {
  explicit TinyModel(const TinyModelOptions& options = {})
      : model(MakeTinyModel(options)),
        calibration(RandomCalibration(options)),
        statistics(*model, calibration, {}) {}

  std::unique_ptr<CausalLm> model;
  CalibrationSet calibration;
  StatisticsStore statistics;
};

// Token ids of a test sequence: [1, length].
inline Tensor TinyIds(const TinyModelOptions& options, int64_t length = 24) {
  at::manual_seed(options.seed + 200);
  return at::randint(options.vocab, {1, length}, kI64);
}

// A model that is read block by block although it is in memory.
class StreamedModel final : public ModelSource {
 public:
  explicit StreamedModel(const CausalLm& model) : model_(model) {}
  const ModelConfig& config() const override { return model_.config(); }
  Embedding LoadEmbedding() const override { return model_.LoadEmbedding(); }
  Block LoadBlock(int64_t position) const override {
    ++loads;
    return model_.LoadBlock(position);
  }
  Head LoadHead() const override { return model_.LoadHead(); }
  bool resident() const override { return false; }
  DType dtype() const override { return model_.dtype(); }
  Device device() const override { return model_.device(); }
  const std::string& digest() const override { return model_.digest(); }

  mutable int loads = 0;  // of blocks

 private:
  const CausalLm& model_;
};

}  // namespace condense
