// The residual stream of many tokens, carried through the model block by block.
//
// Sequences of equal length are batched; no position is ever padded, so no masks are needed and
// nothing has to be left out of a statistic. Everything that runs a model block by block over a
// set of tokens goes through ActivationStream.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/progress.h"
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

// Where the batches of a stream wait: on the host, so that one at a time is on the device, or on
// the device, for streams of few batches.
enum class StreamPlace { kHost, kDevice };

// A copy shares the states of its original until either is advanced.
class ActivationStream {
 public:
  // The embeddings of all tokens. ids: one tensor [batch, tokens] int64 for each batch.
  ActivationStream(const Embedding& embedding, std::span<const Tensor> ids, Device device,
                   StreamPlace place = StreamPlace::kHost);
  ActivationStream(const Embedding& embedding, const TokenBatches& tokens, Device device)
      : ActivationStream(embedding, tokens.ids(), device) {}
  // States that were computed before, [rows, tokens, width] each. They may hold more rows than a
  // batch of tokens, for instance the streams of several models side by side.
  ActivationStream(std::vector<Tensor> states, Device device);

  int64_t batches() const { return static_cast<int64_t>(states_.size()); }
  // [batch, tokens, width] on the device.
  Tensor batch(int64_t index) const { return states_[static_cast<size_t>(index)].to(device_); }
  void Put(int64_t index, const Tensor& state) {
    states_[static_cast<size_t>(index)] = Kept(state);
  }
  // Calls fn(batch) for each batch, which may tap it.
  void Visit(const std::function<void(const Tensor& x)>& fn) const;
  // Replaces each batch by fn(batch).
  void Transform(const std::function<Tensor(const Tensor& x)>& fn);

  // Carries all batches through a block, at most TokenBatches::kBatchTokens tokens at a time.
  void Advance(const Block& block);
  // Carries all batches through some blocks of a model, by position and in the order given, with
  // one block in memory at a time. `progress` advances by one for each block.
  void Advance(const ModelSource& model, std::span<const int64_t> positions,
               Progress* progress = nullptr);

 private:
  Tensor Kept(const Tensor& state) const;

  std::vector<Tensor> states_;
  Device device_;
  StreamPlace place_ = StreamPlace::kHost;
};

// Positions of the blocks of a model, from `first` to the last.
std::vector<int64_t> BlocksFrom(const ModelSource& model, int64_t first = 0);

}  // namespace condense
