// The residual stream of many tokens, carried through the model block by block.
//
// Sequences of equal length are batched; no position is ever padded, so no masks are needed and
// nothing has to be left out of a statistic. The stream lives on the host; batches visit the device
// one at a time.
#pragma once

#include <functional>
#include <vector>

#include "model/model_source.h"

namespace condense {

// The token sequences that a stream is made of, in batches of at most `kBatchTokens` tokens.
class TokenBatches {
 public:
  static constexpr int64_t kBatchTokens = 4096;
  explicit TokenBatches(const std::vector<std::vector<int32_t>>& sequences,
                        int64_t batch_tokens = kBatchTokens);
  const std::vector<Tensor>& ids() const { return ids_; }  // each [batch, tokens] int64
  int64_t tokens() const { return tokens_; }
  int64_t sequences() const { return sequences_; }

 private:
  std::vector<Tensor> ids_;
  int64_t tokens_ = 0, sequences_ = 0;
};

class ActivationStream {
 public:
  // The embeddings of all tokens.
  ActivationStream(const Embedding& embedding, const TokenBatches& tokens, Device device);

  int64_t batches() const { return static_cast<int64_t>(states_.size()); }
  // [batch, tokens, width] on the device.
  Tensor batch(int64_t index) const { return states_[static_cast<size_t>(index)].to(device_); }
  void Put(int64_t index, const Tensor& state) {
    states_[static_cast<size_t>(index)] = state.to(at::kCPU);
  }
  // Calls fn(batch) for each batch; what it does with taps is its affair.
  void Visit(const std::function<void(const Tensor& x)>& fn) const;
  // Replaces each batch by fn(batch).
  void Transform(const std::function<Tensor(const Tensor& x)>& fn);

 private:
  std::vector<Tensor> states_;
  Device device_;
};

}  // namespace condense
