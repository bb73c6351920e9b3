#include "model/causal_lm.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "model/stored/check.h"

namespace condense {

Tensor Embedding::Forward(const Tensor& ids, int64_t first) const {
  Tensor x = at::embedding(tokens, ids);
  if (positions.defined()) {
    const int64_t begin = first + offset, count = ids.size(1);
    CONDENSE_CHECK(begin + count <= positions.size(0), "position {} of {}", begin + count,
                   positions.size(0));
    x = x + positions.narrow(0, begin, count);
  }
  return x;
}

Tensor Embedding::Forward(const Tensor& ids, const PackedLayout& layout) const {
  const Tensor x = at::embedding(tokens, ids);
  if (!positions.defined()) return x;
  CONDENSE_CHECK(layout.positions() + offset <= positions.size(0), "position {} of {}",
                 layout.positions() + offset, positions.size(0));
  const Tensor rows = layout.PositionsOfTokens(ids.device()) + offset;
  return x + positions.index_select(0, rows);
}

Head LoadHeadFor(const ModelSource& source, const Embedding& embedding) {
  Head head = source.LoadHead();
  if (source.config().tied_head) head.linear.weight = embedding.tokens;
  return head;
}

std::unique_ptr<CausalLm> CausalLm::Load(const ModelSource& source) {
  CausalLmBuilder builder(source.digest());
  const Embedding embedding = source.LoadEmbedding();
  builder.PutEmbedding(embedding);
  for (int64_t l = 0; l < source.config().num_layers(); ++l)
    builder.PutBlock(l, source.LoadBlock(l));
  builder.PutHead(LoadHeadFor(source, embedding));
  builder.Finish(source.config());
  return builder.Take();
}

Tensor CausalLm::Hidden(const Tensor& ids, KvCache* cache) const {
  if (cache != nullptr) cache->blocks.resize(blocks_.size());
  Tensor x = embedding_.Forward(ids, cache != nullptr ? cache->tokens() : 0);
  BlockContext context;
  for (size_t l = 0; l < blocks_.size(); ++l) {
    if (cache != nullptr) context.cache = &cache->blocks[l];
    x = blocks_[l].Forward(x, context);
  }
  return x;
}

Tensor CausalLm::Logits(const Tensor& ids, KvCache* cache) const {
  return head_.Forward(Hidden(ids, cache));
}

void CausalLmBuilder::PutEmbedding(const Embedding& embedding) { model_->embedding_ = embedding; }

void CausalLmBuilder::PutBlock(int64_t position, Block block) {
  CONDENSE_CHECK(position == static_cast<int64_t>(model_->blocks_.size()), "block {}", position);
  if (block.shares_with) {
    // One storage for both, whatever the source handed over.
    const Block& parent = model_->blocks_.at(static_cast<size_t>(*block.shares_with));
    for (const Role role : kRoles) {
      Linear& linear = block.LinearOf(role);
      const Linear& shared = parent.LinearOf(role);
      linear.weight = shared.weight, linear.a = shared.a, linear.b = shared.b;
    }
  }
  model_->blocks_.push_back(std::move(block));
}

void CausalLmBuilder::PutHead(const Head& head) { model_->head_ = head; }

void CausalLmBuilder::Finish(const ModelConfig& config) {
  model_->config_ = config;
  CheckShapes(*model_);
  const Tensor frequencies = RopeFrequencies(config, model_->device());
  for (Block& block : model_->blocks_) {
    block.attention.rope_frequencies = frequencies;
    block.attention.rope_stretch = StretchOf(config);
  }
  model_->digest_ = digest_;
}

std::unique_ptr<CausalLm> CausalLmBuilder::Take() { return std::move(model_); }

std::vector<int32_t> GenerateGreedy(const CausalLm& model, std::span<const int32_t> prompt,
                                    int64_t count, int64_t stop) {
  KvCache cache;
  std::vector<int32_t> continuation;
  const std::span<const int32_t> sequences[] = {prompt};
  Tensor ids = StackIds(sequences, model.device());
  while (static_cast<int64_t>(continuation.size()) < count) {
    const Tensor last = model.Hidden(ids, &cache).select(1, -1);
    const auto next = model.head().Forward(last).argmax(-1);  // ties: lowest id
    continuation.push_back(static_cast<int32_t>(next.item<int64_t>()));
    if (continuation.back() == stop) break;
    ids = next.unsqueeze(0);
  }
  return continuation;
}

Tensor StackIds(std::span<const std::span<const int32_t>> sequences, Device device) {
  CONDENSE_CHECK(!sequences.empty(), "no sequences");
  const auto length = static_cast<int64_t>(sequences.front().size());
  Tensor ids = at::empty({static_cast<int64_t>(sequences.size()), length}, kI64);
  int64_t* out = ids.mutable_data_ptr<int64_t>();
  for (const auto& sequence : sequences) {
    CONDENSE_CHECK(static_cast<int64_t>(sequence.size()) == length, "unequal lengths");
    out = std::copy(sequence.begin(), sequence.end(), out);
  }
  return ids.to(device);
}

}  // namespace condense
