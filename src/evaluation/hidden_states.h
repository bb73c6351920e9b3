// The residual stream after a model's last block, batch by batch. A resident model runs each batch
// when it is asked for; one that is streamed has run block by block over all of them before the
// first, so that one block is in memory at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/activation_stream.h"
#include "model/model_source.h"

namespace condense {

// Tokens that pass through the model together: enough to keep matrix products efficient, few enough
// for their activations to stay in cache.
inline constexpr int64_t kEvaluationBatchTokens = 2048;

class HiddenStates {
 public:
  // `title` is that of the progress line while blocks are streamed. Both arguments outlive this.
  HiddenStates(const ModelSource& model, const TokenBatches& batches, const std::string& title);

  // [batch, tokens, width], before the final norm.
  Tensor Batch(int64_t index) const;
  // Makes every batch of a resident model once and for all, and keeps it on the host.
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
