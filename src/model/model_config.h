// What a model looks like: global facts and one LayerConfig per block. A compressed model is an
// ordinary model whose layers are uneven; dense is the case where all layers are equal.
//
// Three things that are easy to get wrong are fixed here: the attention scale is stored, never
// derived from a narrowed head; rotary columns are kept in pairs, and a layer stores which
// frequencies are left (as a tensor of the block); the query heads of a group share their kept key
// columns.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/role.h"

namespace condense {

enum class NormKind {
  kRms,       // x / sqrt(mean(x^2) + eps) * weight
  kLayer,     // (x - mean) / sqrt(var + eps) * weight + bias
  kPlainRms,  // x / sqrt(sum(x^2) / divisor + eps): SliceGPT's parameter-free norm
};

enum class Activation { kSilu, kRelu, kGelu, kGeluTanh };

// How rotary frequencies are changed for texts longer than those of the first training. All give
// the frequency of each pair; arXiv 2309.00071 compares them.
struct LinearRope {
  double factor = 1;  // every frequency is divided by it
};
// LLaMA-3.1: low frequencies are divided, high ones stay, those between are blended.
struct Llama3Rope {
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  int64_t original_max_positions = 8192;
};
// Pairs that turn more than beta_fast times within the original length stay, those that turn less
// than beta_slow times are divided, a ramp over the pairs lies between. Beside it, queries and keys
// are both multiplied by attention_factor, which is part of the attention scale here.
struct YarnRope {
  double factor = 1;
  int64_t original_max_positions = 0;
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;  // the ramp begins and ends at whole pairs
  double attention_factor = 1;
};
// The base grows with the length of the sequence, once that is above original_max_positions.
struct DynamicRope {
  double factor = 1;
  int64_t original_max_positions = 0;
};
using RopeScaling = std::variant<LinearRope, Llama3Rope, YarnRope, DynamicRope>;

struct RopeConfig {
  double theta = 10000;
  std::optional<RopeScaling> scaling;
};

// One key/value head with the query heads it serves.
struct HeadConfig {
  int64_t queries = 1;   // query heads of the group
  int64_t qk_width = 0;  // columns of each of its query heads and of its key head
  int64_t vo_width = 0;  // columns of its value head, rows of W_O per query head
  bool operator==(const HeadConfig&) const = default;
};

// What one linear map of a layer has beside its matrix.
struct LinearConfig {
  std::optional<int64_t> rank;  // of the two factors that it is stored as; nullopt: one matrix
  bool bias = false;
  bool scale = false;  // a factor for each output channel
  bool operator==(const LinearConfig&) const = default;
};

struct LayerConfig {
  int64_t source = 0;  // index of the block in the dense model
  std::vector<HeadConfig> heads;
  int64_t mlp_width = 0;
  double attention_scale = 0;  // multiplies q k^T
  // A query sees its own token and the window - 1 before it; 0: every token before it.
  int64_t window = 0;

  // Width of the residual stream at the block's input, after attention and at its output.
  int64_t in_width = 0, mid_width = 0, out_width = 0;
  // Blocks that change the basis of the stream have x S_attn + attn(norm(x)), and the same for the
  // MLP. Shapes: [in, mid] and [mid, out].
  bool attn_shortcut = false, mlp_shortcut = false;

  // Only some rotary pairs are left; the block then holds their indices.
  bool selected_pairs = false;
  PerRole<LinearConfig> linears;
  // Position, in this model, of the block whose linear weights this one uses (FoldGPT).
  std::optional<int64_t> shares_with;

  int64_t QueryWidth() const;   // sum over query heads
  int64_t KeyWidth() const;     // sum over key heads
  int64_t ValueWidth() const;   // sum over value heads
  int64_t OutputWidth() const;  // input width of the output projection
  bool operator==(const LayerConfig&) const = default;
};

struct ModelConfig {
  std::string family;  // "llama", "opt", ...
  // Sizes of the dense model; what a compressed layer really has is in its LayerConfig.
  int64_t hidden_size = 0;
  int64_t vocab_size = 0;
  int64_t head_dim = 0;
  int64_t num_heads = 0, num_kv_heads = 0;
  int64_t intermediate_size = 0;
  int64_t max_positions = 0;

  NormKind norm = NormKind::kRms;
  double norm_eps = 1e-5;
  int64_t norm_divisor = 0;  // kPlainRms: the dense width
  Activation activation = Activation::kSilu;
  bool gated_mlp = true;

  std::optional<RopeConfig> rope;  // absent: learned positions
  int64_t position_rows = 0;       // learned position table, offset rows included
  int64_t position_offset = 0;     // position p uses row p + offset

  bool tied_head = false;
  bool head_bias = false;
  int64_t embedding_width = 0;  // width of the embedding tables
  int64_t head_width = 0;       // input width of the head

  std::vector<LayerConfig> layers;
  // The dense model that this one was made from; null in a dense model.
  std::shared_ptr<const ModelConfig> base;

  int64_t num_layers() const { return static_cast<int64_t>(layers.size()); }
  bool HasRope() const { return rope.has_value(); }
  // Of one sequence. Above max_positions where the frequencies are scaled for longer texts.
  int64_t LongestText() const;
  const ModelConfig& Dense() const { return base ? *base : *this; }
  bool IsDense() const { return base == nullptr; }
  // A copy that is to be narrowed and has the dense model as its base.
  ModelConfig Derived() const;
};

// The roles of the linear maps of a block of this model, in the order in which they are applied.
std::vector<Role> LinearRoles(const ModelConfig& config);

struct MatrixShape {
  int64_t out = 0, in = 0;  // stored orientation
};
MatrixShape LinearShape(const LayerConfig& layer, Role role);

}  // namespace condense
