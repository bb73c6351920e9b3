#include "model/parameters.h"

#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace condense {
namespace {

ModelConfig Llama2Of7B() {
  return TinyConfig({.layers = 32,
                     .heads = 32,
                     .kv_heads = 32,
                     .head_dim = 128,
                     .intermediate = 11008,
                     .vocab = 32000});
}

// protocols.md 5.7: 422.853 G of linear maps and 1.074 G of attention.
TEST(CountMacs, EqualsTheCountOfLlama2Of7B) {
  const ModelConfig config = Llama2Of7B();
  ASSERT_EQ(CountParameters(config).Total(), 6738415616);
  EXPECT_EQ(CountMacs(config, 64),
            int64_t{64} * (6476005376 + 32000 * 4096) + int64_t{32} * 32 * 64 * 64 * (128 + 128));
  EXPECT_NEAR(static_cast<double>(CountMacs(config, 64)), 423.93e9, 0.005e9);
}

TEST(CountMacs, FollowWhatIsLeft) {
  const ModelConfig dense = Llama2Of7B();
  ModelConfig narrow = dense.Derived();
  LayerConfig& layer = narrow.layers[3];
  layer.mlp_width -= 1000;
  EXPECT_EQ(CountMacs(dense, 64) - CountMacs(narrow, 64), int64_t{64} * 3 * 1000 * 4096);
  layer = dense.layers[3];
  layer.linears[Role::kUp].rank = 512;
  EXPECT_EQ(CountMacs(dense, 64) - CountMacs(narrow, 64),
            int64_t{64} * (int64_t{4096} * 11008 - 512 * (4096 + 11008)));
  layer = dense.layers[3];
  for (HeadConfig& head : layer.heads) head.vo_width -= 8;
  // The value and output maps, and the product of attention with the values.
  EXPECT_EQ(CountMacs(dense, 64) - CountMacs(narrow, 64),
            int64_t{64} * 2 * 32 * 8 * 4096 + int64_t{64} * 64 * 32 * 8);
  layer = dense.layers[3];
  layer.shares_with = 2;  // counts once in parameters, and every time here
  EXPECT_EQ(CountMacs(dense, 64), CountMacs(narrow, 64));
}

}  // namespace
}  // namespace condense
