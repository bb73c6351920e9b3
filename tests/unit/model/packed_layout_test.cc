// A packed batch gives what each of its sequences gives alone.
#include "model/packed_layout.h"

#include <gtest/gtest.h>

#include "model/causal_lm.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

// A beginning with two continuations, one of which branches again, and a sequence alone.
std::vector<TokenRun> Runs() {
  return {{.begin = 0, .end = 9},
          {.begin = 9, .end = 12, .parent = 0},
          {.begin = 12, .end = 17, .parent = 1},
          {.begin = 17, .end = 18, .parent = 1},
          {.begin = 18, .end = 30, .parent = 0},
          {.begin = 30, .end = 36}};
}

// The tokens of the sequence that ends with a run.
Tensor TokensTo(const std::vector<TokenRun>& runs, size_t r) {
  const Tensor own = at::arange(runs[r].begin, runs[r].end, kI64);
  if (runs[r].parent < 0) return own;
  return at::cat({TokensTo(runs, static_cast<size_t>(runs[r].parent)), own});
}

Tensor HiddenPacked(const CausalLm& model, const Tensor& ids, const PackedLayout& layout,
                    const PackedLayout& last) {
  BlockContext context{.layout = &layout};
  Tensor x = model.embedding().Forward(ids, layout);
  for (size_t l = 0; l < model.blocks().size(); ++l) {
    if (l + 1 == model.blocks().size()) context.layout = &last;
    x = model.blocks()[l].Forward(x, context);
  }
  return x;
}

struct Variant {
  const char* name;
  TinyModelOptions options;
};

class PackedModel : public testing::TestWithParam<Variant> {
 protected:
  InferenceScope inference_;
};

TEST_P(PackedModel, EqualsEverySequenceAlone) {
  const auto model = MakeTinyModel(GetParam().options);
  const Tensor ids = TinyIds(GetParam().options, 36);
  const PackedLayout layout(Runs());
  const Tensor packed = HiddenPacked(*model, ids, layout, layout);
  for (size_t r = 0; r < layout.runs().size(); ++r) {
    const Tensor tokens = TokensTo(layout.runs(), r);
    const Tensor alone = model->Hidden(ids.index_select(1, tokens));
    EXPECT_TRUE(at::allclose(packed.index_select(1, tokens), alone, 1e-5, 1e-5)) << "run " << r;
  }
}

TEST_P(PackedModel, LastBlockMayAnswerSomeTokensAlone) {
  const auto model = MakeTinyModel(GetParam().options);
  const Tensor ids = TinyIds(GetParam().options, 36);
  const PackedLayout layout(Runs());
  const std::vector<int64_t> first{8, 9, 14, 18, 25, 30};
  const PackedLayout last = layout.AskedFrom(first);
  std::vector<int64_t> asked;
  for (size_t r = 0; r < first.size(); ++r) {
    for (int64_t token = first[r]; token < layout.runs()[r].end; ++token) asked.push_back(token);
  }
  const Tensor all = HiddenPacked(*model, ids, layout, layout);
  const Tensor some = HiddenPacked(*model, ids, layout, last);
  EXPECT_TRUE(at::allclose(some, all.index_select(1, at::tensor(asked, kI64)), 1e-5, 1e-5));
}

INSTANTIATE_TEST_SUITE_P(Models, PackedModel,
                         testing::Values(Variant{"grouped", {}}, Variant{"opt", {.opt = true}},
                                         // Composed of LibTorch's operators, as on other devices.
                                         Variant{"grouped_composed", {.dtype = kF64}},
                                         Variant{"opt_composed", {.opt = true, .dtype = kF64}}),
                         [](const auto& info) { return info.param.name; });

// Heads of different widths, some rotary pairs removed.
TEST(PackedAttentionOfBlock, OnePassEqualsComposed) {
  const InferenceScope inference;
  at::manual_seed(3);
  Attention attention;
  attention.heads = {{.queries = 2, .qk_width = 4, .vo_width = 10},
                     {.queries = 2, .qk_width = 6, .vo_width = 3},
                     {.queries = 2, .qk_width = 6, .vo_width = 3}};
  attention.scale = 0.4;
  attention.rope_pairs = at::tensor({0, 3, 1, 2, 3, 0, 1, 2}, kI64);
  attention.rope_frequencies = RopeFrequencies(RopeConfig{}, 8);
  const auto projected = [](int64_t tokens, int64_t width) {
    return at::randn({1, tokens, width}, kF32);
  };
  const Tensor q = projected(36, 32), k = projected(36, 16), v = projected(36, 16);
  const PackedLayout layout(Runs());
  const PackedLayout last = layout.AskedFrom(std::vector<int64_t>{9, 9, 14, 18, 25, 30});
  for (const PackedLayout* asked : {&layout, &last}) {
    const BlockContext context{.layout = asked};
    const Tensor asking = asked->Queries(q);
    EXPECT_TRUE(at::allclose(attention.MixInOnePass(asking, k, v, context),
                             attention.MixComposed(asking, k, v, context), 1e-5, 1e-5));
  }
  const auto two = [](const Tensor& x) { return x.view({2, 18, -1}); };
  EXPECT_TRUE(at::allclose(attention.MixInOnePass(two(q), two(k), two(v)),
                           attention.MixComposed(two(q), two(k), two(v)), 1e-5, 1e-5));
}

// Longer than one piece of the rectangle, so that pieces begin within a tree.
TEST(PackedLayoutRectangle, GivesEveryPieceWhatItSees) {
  TinyModelOptions options{.dtype = kF64};
  const InferenceScope inference;
  std::vector<TokenRun> runs{{.begin = 0, .end = 20}};
  for (int64_t r = 1; r < 50; ++r) {
    const int64_t begin = runs.back().end;
    runs.push_back({.begin = begin, .end = begin + 1 + r % 11, .parent = r % 4 == 1 ? 0 : r - 1});
  }
  const PackedLayout layout(runs);
  EXPECT_GT(layout.RectangleOn(at::kCPU).pieces, 1);
  const auto model = MakeTinyModel(options);
  const Tensor ids = TinyIds(options, layout.tokens());
  const Tensor packed = HiddenPacked(*model, ids, layout, layout);
  for (const size_t r : {size_t{7}, size_t{24}, size_t{40}, size_t{49}}) {
    const Tensor tokens = TokensTo(layout.runs(), r);
    const Tensor alone = model->Hidden(ids.index_select(1, tokens));
    EXPECT_TRUE(at::allclose(packed.index_select(1, tokens), alone, 1e-9, 1e-9)) << "run " << r;
  }
}

TEST(PackedLayoutRuns, AreInPreorder) {
  EXPECT_ANY_THROW(PackedLayout({{.begin = 0, .end = 2},
                                 {.begin = 2, .end = 3, .parent = 0},
                                 {.begin = 3, .end = 4},
                                 {.begin = 4, .end = 5, .parent = 0}}));
  EXPECT_ANY_THROW(PackedLayout({{.begin = 0, .end = 2}, {.begin = 3, .end = 4}}));
}

}  // namespace
}  // namespace condense
