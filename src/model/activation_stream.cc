#include "model/activation_stream.h"

#include <algorithm>
#include <map>
#include <span>

#include "base/error.h"
#include "base/system.h"
#include "model/causal_lm.h"

namespace condense {

TokenBatches::TokenBatches(const std::vector<std::vector<int32_t>>& sequences,
                           int64_t batch_tokens) {
  std::map<size_t, std::vector<std::span<const int32_t>>> by_length;
  for (const auto& sequence : sequences) {
    if (!sequence.empty()) by_length[sequence.size()].push_back(sequence);
  }
  // Longest first: the largest batch is met at once, not after an hour.
  for (auto group = by_length.rbegin(); group != by_length.rend(); ++group) {
    const auto length = static_cast<int64_t>(group->first);
    const auto rows = static_cast<size_t>(std::max<int64_t>(1, batch_tokens / length));
    const std::span all(group->second);
    for (size_t begin = 0; begin < all.size(); begin += rows) {
      ids_.push_back(StackIds(all.subspan(begin, std::min(rows, all.size() - begin)), at::kCPU));
    }
    tokens_ += length * static_cast<int64_t>(all.size());
    sequences_ += static_cast<int64_t>(all.size());
  }
}

ActivationStream::ActivationStream(const Embedding& embedding, const TokenBatches& tokens,
                                   Device device)
    : device_(device) {
  for (const Tensor& ids : tokens.ids()) {
    states_.push_back(embedding.Forward(ids.to(embedding.tokens.device())).to(at::kCPU));
  }
}

void ActivationStream::Visit(const std::function<void(const Tensor& x)>& fn) const {
  for (int64_t i = 0; i < batches(); ++i) {
    CheckInterrupt();
    fn(batch(i));
  }
}

void ActivationStream::Transform(const std::function<Tensor(const Tensor& x)>& fn) {
  for (Tensor& state : states_) {
    CheckInterrupt();
    state = fn(state.to(device_)).to(at::kCPU);
  }
}

}  // namespace condense
