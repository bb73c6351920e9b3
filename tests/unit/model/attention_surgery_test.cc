// Attention without some heads or columns computes what the whole one does where the output
// projection ignores them.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "model/block.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

using Sets = std::vector<std::vector<int64_t>>;

class AttentionSurgery : public testing::TestWithParam<TinyModelOptions> {
 protected:
  AttentionSurgery() : model_(MakeTinyModel(Wide())), block_(model_->LoadBlock(1)) {
    at::manual_seed(4);
    x_ = at::randn({2, 9, model_->config().hidden_size}, kF64);
  }
  static TinyModelOptions Wide() {
    TinyModelOptions options = GetParam();
    options.dtype = kF64;
    return options;
  }
  Tensor Run(const Attention& attention) const { return attention.Forward(x_); }
  // W_O without the columns that read query heads outside `kept`.
  Attention Masked(const std::vector<int64_t>& kept) const {
    Attention masked = block_.attention;
    const int64_t width = model_->config().head_dim;
    masked.o.weight = at::zeros_like(masked.o.weight);
    for (const int64_t head : kept) {
      masked.o.weight.narrow(1, head * width, width)
          .copy_(block_.attention.o.weight.narrow(1, head * width, width));
    }
    return masked;
  }
  static void ExpectNear(const Tensor& a, const Tensor& b) {
    EXPECT_LT((a - b).abs().max().item<double>(), 1e-12);
  }

  std::unique_ptr<CausalLm> model_;
  Block block_;
  Tensor x_;
  InferenceScope inference_;
};

TEST_P(AttentionSurgery, WithoutHeadsIsTheWholeOneWithTheirOutputIgnored) {
  for (const std::vector<int64_t>& kept : Sets{{0, 1, 2, 3}, {1}, {0, 1}, {2, 3}, {0, 2, 3}}) {
    Attention cut = block_.attention;
    cut.KeepQueryHeads(kept);
    ExpectNear(Run(cut), Run(Masked(kept)));
    const int64_t group = model_->config().num_heads / model_->config().num_kv_heads;
    std::set<int64_t> groups;
    for (const int64_t head : kept) groups.insert(head / group);
    EXPECT_EQ(cut.heads.size(), groups.size());
    EXPECT_EQ(cut.k.out(), static_cast<int64_t>(groups.size()) * model_->config().head_dim);
  }
}

TEST_P(AttentionSurgery, WithoutValueChannelsIsTheWholeOneWithThemIgnored) {
  const int64_t width = model_->config().head_dim;
  const Sets kept(block_.attention.heads.size(), {0, 3, 5});
  Attention cut = block_.attention, masked = block_.attention;
  cut.KeepValueChannels(kept);
  masked.o.weight = masked.o.weight.clone();
  for (int64_t column = 0; column < masked.o.in(); ++column) {
    const int64_t channel = column % width;
    if (channel != 0 && channel != 3 && channel != 5) masked.o.weight.select(1, column).zero_();
  }
  ExpectNear(Run(cut), Run(masked));
}

TEST_P(AttentionSurgery, WithoutQueryKeyUnitsIsTheWholeOneWithThemZero) {
  const bool rotary = model_->config().HasRope();
  const int64_t width = model_->config().head_dim;
  Sets units;
  for (size_t j = 0; j < block_.attention.heads.size(); ++j) {
    units.push_back(j % 2 == 0 ? std::vector<int64_t>{0, 2} : std::vector<int64_t>{1, 3});
  }
  Attention cut = block_.attention, masked = block_.attention;
  cut.KeepQueryKeyUnits(units, rotary);
  masked.k.weight = masked.k.weight.clone();
  if (masked.k.bias.defined()) masked.k.bias = masked.k.bias.clone();
  for (int64_t row = 0; row < masked.k.out(); ++row) {
    const auto& kept = units[static_cast<size_t>(row / width)];
    const int64_t unit = rotary ? row % width % (width / 2) : row % width;
    if (std::find(kept.begin(), kept.end(), unit) != kept.end()) continue;
    masked.k.weight[row].zero_();
    if (masked.k.bias.defined()) masked.k.bias[row] = 0;
  }
  ExpectNear(Run(cut), Run(masked));
  // Heads may go afterwards, with the pairs that belong to them.
  cut.KeepQueryHeads({2, 3});
  Attention both = Masked({2, 3});
  both.k = masked.k;
  ExpectNear(Run(cut), Run(both));
}

INSTANTIATE_TEST_SUITE_P(Families, AttentionSurgery,
                         testing::Values(TinyModelOptions{.kv_heads = 4},
                                         TinyModelOptions{.kv_heads = 2},
                                         TinyModelOptions{.opt = true}),
                         [](const auto& info) { return FamilyName(info.param); });

}  // namespace
}  // namespace condense
