// A whole model in memory.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/model_source.h"

namespace condense {

// Keys and values of every block.
struct KvCache {
  std::vector<BlockCache> blocks;
  int64_t tokens() const { return blocks.empty() ? 0 : blocks.front().tokens(); }
};

class CausalLm final : public ModelSource {
 public:
  // Loads every part of another source.
  static std::unique_ptr<CausalLm> Load(const ModelSource& source);

  const ModelConfig& config() const override { return config_; }
  Embedding LoadEmbedding() const override { return embedding_; }
  Block LoadBlock(int64_t position) const override {
    return blocks_.at(static_cast<size_t>(position));
  }
  Head LoadHead() const override { return head_; }
  bool resident() const override { return true; }
  DType dtype() const override { return embedding_.tokens.scalar_type(); }
  Device device() const override { return embedding_.tokens.device(); }
  const std::string& digest() const override { return digest_; }

  const Embedding& embedding() const { return embedding_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  const Head& head() const { return head_; }

  // ids: [batch, tokens] -> residual stream after the last block, [batch, tokens, width]. With a
  // cache, ids continue what it holds.
  Tensor Hidden(const Tensor& ids, KvCache* cache = nullptr) const;
  // ids: [batch, tokens] -> logits [batch, tokens, vocab].
  Tensor Logits(const Tensor& ids, KvCache* cache = nullptr) const;

 private:
  friend class CausalLmBuilder;
  ModelConfig config_;
  Embedding embedding_;
  std::vector<Block> blocks_;
  Head head_;
  std::string digest_;
};

// Collects the parts of a compressed model in memory.
class CausalLmBuilder final : public ModelSink {
 public:
  explicit CausalLmBuilder(std::string digest = "") : digest_(std::move(digest)) {}
  void PutEmbedding(const Embedding& embedding) override;
  void PutBlock(int64_t position, Block block) override;
  void PutHead(const Head& head) override;
  void Finish(const ModelConfig& config) override;
  // After Finish().
  std::unique_ptr<CausalLm> Take();

 private:
  std::string digest_;
  std::unique_ptr<CausalLm> model_ = std::make_unique<CausalLm>();
};

// Greedy continuation of one prompt with a cache: the ids that follow, at most `count`, up to and
// including `stop` if it is non-negative.
std::vector<int32_t> GenerateGreedy(const CausalLm& model, std::span<const int32_t> prompt,
                                    int64_t count, int64_t stop);

// Sequences of equal length as one tensor [batch, tokens] int64 on `device`.
Tensor StackIds(std::span<const std::span<const int32_t>> sequences, Device device);

}  // namespace condense
