// The residual stream after a model's last block, batch by batch. A resident model computes a batch
// when it is asked for. A streamed model has carried all batches block by block before the first is
// given out, so that one block is in memory at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/activation_stream.h"
#include "model/model_source.h"

namespace condense {

class HiddenStates {
 public:
  // Tokens of one batch: enough to keep matrix products efficient, few enough for their activations
  // to stay in cache.
  static constexpr int64_t kBatchTokens = 2048;

  // `model` and `batches` must outlive this. `title` is shown in the progress line while blocks are
  // streamed.
  HiddenStates(const ModelSource& model, const TokenBatches& batches, const std::string& title);

  // [batch, tokens, width], before the final norm.
  Tensor Batch(int64_t index) const;
  // Computes every batch of a resident model now and keeps the results on the host.
  void Keep();
  const Head& head() const { return head_; }

 private:
  const ModelSource& model_;
  const TokenBatches& batches_;
  std::optional<Embedding> embedding_;      // resident
  std::vector<Block> blocks_;               // resident
  std::optional<ActivationStream> stream_;  // streamed
  std::vector<Tensor> kept_;                // after Keep()
  Head head_;
};

}  // namespace condense
