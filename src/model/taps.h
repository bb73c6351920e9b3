// Points inside a block at which activations can be recorded (methods.md 0.2).
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
  kScores,          // q^ and k^ side by side, as they enter the scores: OnScores()
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
  // Tap::kScores. Each row of the batch is one sequence, in which a token attends to itself and to
  // those before it by softmax(scale * queries keys^T).
  virtual void OnScores(const Tensor& /*queries*/, const Tensor& /*keys*/, double /*scale*/) {}
};

}  // namespace condense
