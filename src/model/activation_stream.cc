#include "model/activation_stream.h"

#include <algorithm>
#include <map>
#include <numeric>
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
  // Longest first: if the largest batch needs too much memory, it fails at once.
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

ActivationStream::ActivationStream(const Embedding& embedding, std::span<const Tensor> ids,
                                   Device device, StreamPlace place)
    : device_(device), place_(place) {
  for (const Tensor& batch : ids) {
    states_.push_back(Kept(embedding.Forward(batch.to(embedding.tokens.device()))));
  }
}

ActivationStream::ActivationStream(std::vector<Tensor> states, Device device)
    : states_(std::move(states)), device_(device) {}

Tensor ActivationStream::Kept(const Tensor& state) const {
  return place_ == StreamPlace::kHost ? state.to(at::kCPU) : state;
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
    state = Kept(fn(state.to(device_)));
  }
}

void ActivationStream::Advance(const Block& block) {
  for (Tensor& state : states_) {
    const int64_t tokens = std::max<int64_t>(1, state.size(1));
    const int64_t rows = std::max<int64_t>(1, TokenBatches::kBatchTokens / tokens);
    std::vector<Tensor> parts;
    for (int64_t begin = 0; begin < state.size(0); begin += rows) {
      CheckInterrupt();
      const Tensor part = state.narrow(0, begin, std::min(rows, state.size(0) - begin));
      parts.push_back(Kept(block.Forward(part.to(device_))));
    }
    state = parts.size() == 1 ? parts.front() : at::cat(parts);
  }
}

void ActivationStream::Advance(const ModelSource& model, std::span<const int64_t> positions,
                               Progress* progress) {
  for (const int64_t position : positions) {
    Advance(model.LoadBlock(position));
    if (progress != nullptr) progress->Advance();
  }
}

std::vector<int64_t> BlocksFrom(const ModelSource& model, int64_t first) {
  std::vector<int64_t> positions(static_cast<size_t>(model.config().num_layers() - first));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

}  // namespace condense
