// Tiny models compressed by any method, for its tests.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "compression/compress.h"
#include "config/registry.h"
#include "model/stored/check.h"
#include "support/tiny_model.h"

namespace condense {

struct Compressed {
  std::unique_ptr<CausalLm> model;
  CompressionResult result;
};

inline Component<Compressor> Method(const std::string& yaml) {
  return MakeComponent<Compressor>(Node::ParseText(yaml, "test.yaml"));
}

// Removes given fractions from each module of each layer.
class FixedAllocator final : public Allocator {
 public:
  explicit FixedAllocator(Allocation allocation) : allocation_(std::move(allocation)) {}
  Allocation Allocate(const AllocationRequest&) const override { return allocation_; }
  bool IsFixed() const override { return true; }

 private:
  Allocation allocation_;
};

inline Compressed CompressWith(StatisticsStore& statistics, const std::string& yaml, double ratio,
                               const Allocator& allocator) {
  const auto method = Method(yaml);
  CausalLmBuilder builder("compressed");
  Compressed compressed;
  compressed.result = Compress({.method = *method,
                                .allocator = &allocator,
                                .ratio = ratio,
                                .match = Match::kBlock,
                                .seed = 5},
                               statistics, statistics, builder);
  compressed.model = builder.Take();
  CheckShapes(*compressed.model);
  return compressed;
}

inline Compressed CompressTo(TinyModel& tiny, const std::string& yaml, double ratio = 0.3) {
  const auto uniform = MakeComponent<Allocator>("uniform");
  return CompressWith(tiny.statistics, yaml, ratio, *uniform);
}

inline Compressed CompressFixed(TinyModel& tiny, const std::string& yaml,
                                const ModuleSparsity& removed) {
  const FixedAllocator allocator(Allocation(tiny.model->blocks().size(), removed));
  return CompressWith(tiny.statistics, yaml, 0.5, allocator);
}

// What a method's trials hand out.
inline std::vector<Block> CompressedAlone(const ModuleTrials& trials, const TrialInput& input,
                                          const ModuleGroup& group,
                                          const std::vector<double>& removed) {
  std::vector<Block> blocks;
  trials.CompressAlone(input, group, removed,
                       [&](const TrialBlock& made) { blocks.push_back(made.block); });
  return blocks;
}

// A copy of the model in which every block is changed.
inline std::unique_ptr<CausalLm> WithBlocks(const CausalLm& model,
                                            const std::function<void(Block&)>& change) {
  CausalLmBuilder builder("changed");
  builder.PutEmbedding(model.embedding());
  for (int64_t l = 0; l < model.config().num_layers(); ++l) {
    Block block = model.LoadBlock(l);
    change(block);
    builder.PutBlock(l, block);
  }
  builder.PutHead(model.head());
  builder.Finish(model.config());
  return builder.Take();
}

inline const TinyModelOptions kLlama{.kv_heads = 4}, kGrouped{.kv_heads = 2}, kOpt{.opt = true};

inline TinyModelOptions Wide(TinyModelOptions options) {  // in float64, to see exactness
  options.dtype = kF64;
  return options;
}

}  // namespace condense
