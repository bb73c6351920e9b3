// Points inside a block at which activations can be observed (methods.md 0.2).
#pragma once

#include "tensor/tensor.h"

namespace condense {

enum class Tap {
  kBlockInput,      // r_in   residual at the block's input
  kAttentionInput,  // a      after norm1
  kQuery,           // q      after the bias, before RoPE; heads concatenated
  kKey,             // k
  kQueryRotated,    // q^     after RoPE (equal to q without RoPE), before the attention scale
  kKeyRotated,      // k^
  kValue,           // v      after the bias
  kValueMix,        // z      input of the output projection, heads concatenated
  kResidualMid,     // r_mid  residual after attention
  kMlpInput,        // u      after norm2
  kMlpHidden,       // h      input of the down projection
  kBlockOutput,     // r_out
};

const char* TapName(Tap tap);

// Receives activations as [batch, tokens, width]. The tensors must not be changed.
class TapSink {
 public:
  virtual ~TapSink() = default;
  virtual bool Wants(Tap tap) const = 0;
  virtual void OnTap(Tap tap, const Tensor& activations) = 0;
};

}  // namespace condense
