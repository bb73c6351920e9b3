#include "model/block.h"

#include "base/error.h"
#include "kernels/one_pass.h"
#include "model/activation.h"

namespace condense {

namespace {

void Report(TapSink* taps, Tap tap, const Tensor& value) {
  if (taps != nullptr && taps->Wants(tap)) taps->OnTap(tap, value);
}

// The residual stream plus what a sublayer has just made.
Tensor AddResidual(const Tensor& carried, Tensor made) {
  return InPlaceAllowed() ? made.add_(carried) : carried + made;
}

}  // namespace

Tensor Mlp::Hidden(const Tensor& x) const {
  if (!gated()) return Activate(up.Forward(x), activation);
  Tensor hidden = gate.Forward(x);
  if (activation == Activation::kSilu && OnePassApplies(hidden)) {
    SiluTimesOnePass(hidden, up.Forward(x));
    return hidden;
  }
  hidden = Activate(hidden, activation);
  return InPlaceAllowed() ? hidden.mul_(up.Forward(x)) : hidden * up.Forward(x);
}

Tensor Mlp::Forward(const Tensor& x, TapSink* taps) const {
  const Tensor hidden = Hidden(x);
  Report(taps, Tap::kMlpHidden, hidden);
  return down.Forward(hidden);
}

Tensor Block::ForwardAttention(const Tensor& x, const BlockContext& context) const {
  Report(context.taps, Tap::kBlockInput, x);
  const Tensor normed = norm1.Forward(x);
  Report(context.taps, Tap::kAttentionInput, normed);
  const Tensor asking = context.layout != nullptr ? context.layout->Queries(x) : x;
  const Tensor carried = attn_shortcut.defined() ? at::matmul(asking, attn_shortcut) : asking;
  const Tensor mid = AddResidual(carried, attention.Forward(normed, context));
  Report(context.taps, Tap::kResidualMid, mid);
  return mid;
}

Tensor Block::ForwardMlp(const Tensor& x, const BlockContext& context) const {
  const Tensor normed = norm2.Forward(x);
  Report(context.taps, Tap::kMlpInput, normed);
  const Tensor carried = mlp_shortcut.defined() ? at::matmul(x, mlp_shortcut) : x;
  const Tensor out = AddResidual(carried, mlp.Forward(normed, context.taps));
  Report(context.taps, Tap::kBlockOutput, out);
  return out;
}

Tensor Block::Forward(const Tensor& x, const BlockContext& context) const {
  return ForwardMlp(ForwardAttention(x, context), context);
}

Linear& Block::LinearOf(Role role) {
  switch (role) {
    case Role::kQuery:
      return attention.q;
    case Role::kKey:
      return attention.k;
    case Role::kValue:
      return attention.v;
    case Role::kOutput:
      return attention.o;
    case Role::kGate:
      return mlp.gate;
    case Role::kUp:
      return mlp.up;
    case Role::kDown:
      break;
  }
  return mlp.down;
}

const Linear& Block::LinearOf(Role role) const { return const_cast<Block*>(this)->LinearOf(role); }

void Mlp::KeepChannels(const Tensor& kept) {
  CONDENSE_CHECK(!up.factored() && !gate.factored() && !down.factored(), "factored projections");
  const Tensor rows = kept.to(down.weight.device());
  for (Linear* linear : {&gate, &up}) {
    if (linear->weight.defined()) linear->weight = linear->weight.index_select(0, rows);
    if (linear->bias.defined()) linear->bias = linear->bias.index_select(0, rows);
  }
  down.weight = down.weight.index_select(1, rows);
}

LayerConfig ShapeOf(const Block& block) {
  LayerConfig layer;
  layer.source = block.source;
  layer.shares_with = block.shares_with;
  layer.heads = block.attention.heads;
  layer.attention_scale = block.attention.scale;
  layer.window = block.attention.window;
  layer.mlp_width = block.mlp.down.in();
  layer.in_width = block.attention.q.in();
  layer.mid_width = block.mlp.up.in();
  layer.out_width = block.mlp.down.out();
  layer.attn_shortcut = block.attn_shortcut.defined();
  layer.mlp_shortcut = block.mlp_shortcut.defined();
  layer.selected_pairs = block.attention.rope_pairs.defined();
  for (const Role role : kRoles) {
    const Linear& linear = block.LinearOf(role);
    LinearConfig& config = layer.linears[role];
    if (linear.factored()) config.rank = linear.a.size(0);
    config.bias = linear.bias.defined();
    config.scale = linear.scale.defined();
  }
  return layer;
}

Block Converted(const Block& block, DType dtype, Device device) {
  Block converted = block;
  converted.ForEachTensor([&](const std::string&, Tensor& tensor) {
    if (!tensor.defined()) return;
    tensor = tensor.is_floating_point() ? tensor.to(device, dtype) : tensor.to(device);
  });
  Tensor& frequencies = converted.attention.rope_frequencies;
  if (frequencies.defined()) frequencies = frequencies.to(device);  // float32 whatever the dtype
  return converted;
}

}  // namespace condense
