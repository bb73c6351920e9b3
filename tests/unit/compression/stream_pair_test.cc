// The streams of the dense and of the compressed model, as a method drives them beside the loop over
// blocks.
#include "compression/stream_pair.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "compression/compressor.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

const StatRequest kHidden = Gram(Tap::kMlpHidden);

double Largest(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

void HalveMlp(Block& block) { block.mlp.down.weight = block.mlp.down.weight * 0.5; }

class Streams : public testing::Test {
 protected:
  double Distance() const {
    double largest = 0;
    streams_.Visit([&](const Tensor& dense, const Tensor& compressed) {
      largest = std::max(largest, Largest(dense, compressed));
    });
    return largest;
  }
  // The loop of a method that changes blocks; returns what it made.
  std::unique_ptr<CausalLm> Loop(const BlockLoop& loop, const std::function<void(BlockTask&)>& fn) {
    CausalLmBuilder sink;
    CompressionJob job(tiny_.statistics, sink, tiny_.model->config().Derived(), 1);
    job.ForEachBlock(loop, fn);
    sink.Finish(job.config());
    return sink.Take();
  }

  InferenceScope inference_;
  TinyModel tiny_;
  StreamPair streams_{tiny_.statistics};
};

TEST_F(Streams, PartAfterTheFirstChange) {
  std::vector<double> apart;
  Loop({}, [&](BlockTask& task) {
    apart.push_back(Distance());
    if (task.layer == 1) task.block.attention.o.weight = task.block.attention.o.weight * 0;
    streams_.Advance(*task.dense, task.block);
  });
  EXPECT_EQ(apart[0], 0);
  EXPECT_EQ(apart[1], 0);
  EXPECT_GT(apart[2], 1e-3);
}

TEST_F(Streams, StatisticsBesideThemAreOfTheDenseModel) {
  std::vector<Tensor> dense;
  tiny_.statistics.ForEachLayer({kHidden}, [&](int64_t, const BlockStatistics& statistics) {
    dense.push_back(statistics.Get(kHidden));
  });
  Loop({.requests = {kHidden}}, [&](BlockTask& task) {
    const auto l = static_cast<size_t>(task.layer);
    EXPECT_EQ(Largest(task.stats->Get(kHidden), dense[l]), 0);
    EXPECT_EQ(Distance() > 1e-3, l > 0);
    HalveMlp(task.block);
    streams_.Advance(*task.dense, task.block);
  });
}

TEST_F(Streams, HalvesOfABlockLeadWhereTheBlockDoes) {
  StreamPair halves(tiny_.statistics);
  Block dense = tiny_.model->LoadBlock(0), compressed = dense;
  HalveMlp(compressed);
  streams_.Advance(dense, compressed);
  halves.Transform([&](const Tensor& of_dense, const Tensor& of_compressed) {
    return std::pair(dense.ForwardAttention(of_dense), compressed.ForwardAttention(of_compressed));
  });
  halves.Transform([&](const Tensor& of_dense, const Tensor& of_compressed) {
    return std::pair(dense.ForwardMlp(of_dense), compressed.ForwardMlp(of_compressed));
  });
  std::vector<Tensor> whole;
  streams_.Visit([&](const Tensor& of_dense, const Tensor& of_compressed) {
    whole.insert(whole.end(), {of_dense, of_compressed});
  });
  size_t next = 0;
  halves.Visit([&](const Tensor& of_dense, const Tensor& of_compressed) {
    EXPECT_EQ(Largest(of_dense, whole[next++]), 0);
    EXPECT_EQ(Largest(of_compressed, whole[next++]), 0);
  });
  EXPECT_EQ(next, whole.size());
  EXPECT_GT(Distance(), 1e-3);
}

TEST_F(Streams, ReachTheHead) {
  int64_t tokens = 0;
  BlockLoop loop;
  loop.change_head = [&](Head& head) {
    streams_.Visit([&](const Tensor& dense, const Tensor& compressed) {
      tokens += dense.size(0) * dense.size(1);
      EXPECT_GT(Largest(dense, compressed), 1e-3);
    });
    head.linear.weight = head.linear.weight * 2;
  };
  const auto made = Loop(loop, [&](BlockTask& task) {
    HalveMlp(task.block);
    streams_.Advance(*task.dense, task.block);
  });
  EXPECT_EQ(tokens, tiny_.statistics.tokens().tokens());
  EXPECT_TRUE(at::equal(made->head().linear.weight, tiny_.model->head().linear.weight * 2));
}

}  // namespace
}  // namespace condense
