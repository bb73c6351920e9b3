// One transformer block: norm, attention, norm, MLP, with residual connections (pre-norm).
//
// Plain structs of tensors: surgery is assignment. Each struct names its tensors once
// (ForEachTensor), which serves loading, saving, counting and moving. Head widths may differ
// between key/value heads; runs of neighbouring heads of equal shape are computed together.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/linear.h"
#include "model/model_config.h"
#include "model/packed_layout.h"
#include "model/rope.h"
#include "model/taps.h"
#include "tensor/tensor.h"

namespace condense {

// Keys and values of earlier tokens of one block, by run of equal heads.
class BlockCache {
 public:
  int64_t tokens() const { return tokens_; }

 private:
  friend struct Attention;
  struct Run {
    Tensor keys, values;  // [batch, kv heads, capacity, width]
  };
  void Prepare(size_t runs);
  // Appends new keys and values; returns all of them, earlier ones first.
  std::pair<Tensor, Tensor> Append(size_t run, const Tensor& keys, const Tensor& values);
  void Advance(int64_t tokens);  // once new tokens were appended to every run

  std::vector<Run> runs_;
  int64_t tokens_ = 0;
};

// How a block is run: by default each row of the batch is one whole sequence, and nothing is tapped
// or cached.
struct BlockContext {
  TapSink* taps = nullptr;
  BlockCache* cache = nullptr;
  // Null: each row of the batch is one sequence. Else the input is a packed batch, [1, tokens,
  // width], and the output is that of the tokens that the layout asks for; no cache then.
  const PackedLayout* layout = nullptr;
};

struct Attention {
  std::vector<HeadConfig> heads;
  double scale = 0;
  int64_t window = 0;  // as in LayerConfig
  // Kept rotary pairs of all key/value heads, one after the other: [sum of qk_width / 2] int64;
  // undefined when all are kept.
  Tensor rope_pairs;
  // Of every pair of the dense head: [head_dim / 2] float32; undefined without RoPE. All blocks of
  // a model share one tensor. It follows from the configuration, so it is not stored.
  Tensor rope_frequencies;
  // Set where they depend on the length of the sequence; likewise not stored.
  std::optional<DynamicRope> rope_stretch;
  Linear q, k, v, o;

  // x: [batch, tokens, in_width], normed. Returns the output projection, without the residual.
  Tensor Forward(const Tensor& x, const BlockContext& context = {}) const;

  // Attention over projected queries, keys and values: the input of the output projection. It is
  // computed in one pass where possible; the composed form supports gradients, caches and other
  // devices. Taps do not influence the choice, so that a statistic does not depend on what else is
  // collected.
  Tensor Mix(const Tensor& q, const Tensor& k, const Tensor& v,
             const BlockContext& context = {}) const;
  Tensor MixInOnePass(const Tensor& q, const Tensor& k, const Tensor& v,
                      const BlockContext& context = {}) const;
  Tensor MixComposed(const Tensor& q, const Tensor& k, const Tensor& v,
                     const BlockContext& context = {}) const;

  // Rotations of every pair of the dense head, for the tokens from `first` on; the last of them ends
  // the sequence. Only with rope_frequencies.
  RopeTable Rotations(int64_t first, int64_t tokens, DType dtype) const;

  // Reports queries and keys, as they enter the scores, to taps that want them.
  void ReportRotated(const Tensor& q, const Tensor& k, const BlockContext& context) const;

  // Surgery by ascending indices; nothing is refitted.
  // Keeps some query heads; a key/value head stays while one of its query heads does.
  void KeepQueryHeads(const std::vector<int64_t>& kept);
  // Keeps some columns of each key/value head and of its query heads: with `rotary` the pairs
  // {p, p + width / 2}, else single columns. Of a head that was not narrowed before.
  void KeepQueryKeyUnits(const std::vector<std::vector<int64_t>>& units, bool rotary);
  // Keeps some channels of each value head, and the rows of the output projection that read them.
  void KeepValueChannels(const std::vector<std::vector<int64_t>>& kept);

  template <class Visitor>
  void ForEachTensor(Visitor&& visit) {
    q.ForEachTensor(Role::kQuery, visit);
    k.ForEachTensor(Role::kKey, visit);
    v.ForEachTensor(Role::kValue, visit);
    o.ForEachTensor(Role::kOutput, visit);
    visit("attention.rope_pairs", rope_pairs);
  }
};

struct Mlp {
  Activation activation = Activation::kSilu;
  Linear gate;  // empty unless gated
  Linear up, down;

  bool gated() const { return gate.weight.defined() || gate.factored(); }
  Tensor Hidden(const Tensor& x) const;  // input of the down projection
  Tensor Forward(const Tensor& x, TapSink* taps) const;
  // Keeps some channels, the same ones in all projections. kept: [k] int64, ascending.
  void KeepChannels(const Tensor& kept);

  template <class Visitor>
  void ForEachTensor(Visitor&& visit) {
    gate.ForEachTensor(Role::kGate, visit);
    up.ForEachTensor(Role::kUp, visit);
    down.ForEachTensor(Role::kDown, visit);
  }
};

struct Block {
  int64_t source = 0;  // index in the dense model
  // Position, in its model, of the earlier block whose linear weights this one uses too.
  std::optional<int64_t> shares_with;
  Norm norm1, norm2;
  Attention attention;
  Mlp mlp;
  Tensor attn_shortcut;  // [in_width, mid_width] or undefined: applied as x @ S
  Tensor mlp_shortcut;   // [mid_width, out_width] or undefined

  // x: [batch, tokens, in_width] -> [batch, tokens, out_width]
  Tensor Forward(const Tensor& x, const BlockContext& context = {}) const;
  // The two halves, for methods that work between them.
  Tensor ForwardAttention(const Tensor& x, const BlockContext& context = {}) const;  // -> mid_width
  Tensor ForwardMlp(const Tensor& x, const BlockContext& context = {}) const;        // -> out_width

  Linear& LinearOf(Role role);
  const Linear& LinearOf(Role role) const;

  template <class Visitor>
  void ForEachTensor(Visitor&& visit) {
    norm1.ForEachTensor("norm1", visit);
    attention.ForEachTensor(visit);
    norm2.ForEachTensor("norm2", visit);
    mlp.ForEachTensor(visit);
    visit("attn_shortcut", attn_shortcut);
    visit("mlp_shortcut", mlp_shortcut);
  }
};

// The shape of a block as a LayerConfig, read off its tensors.
LayerConfig ShapeOf(const Block& block);

// Every tensor moved to another dtype (floating ones) or device.
Block Converted(const Block& block, DType dtype, Device device);

}  // namespace condense
