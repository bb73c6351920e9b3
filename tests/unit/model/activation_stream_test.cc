#include "model/activation_stream.h"

#include <gtest/gtest.h>

#include "model/hidden_states.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

class Stream : public testing::TestWithParam<TinyModelOptions> {
 protected:
  Stream() : model_(MakeTinyModel(GetParam())), tokens_(Sequences(), /*batch_tokens=*/64) {}

  static std::vector<std::vector<int32_t>> Sequences() {
    std::vector<std::vector<int32_t>> sequences(7, std::vector<int32_t>(32));
    int32_t id = 5;
    for (auto& sequence : sequences) {
      for (int32_t& token : sequence) token = id = (id * 7 + 3) % 61;
    }
    return sequences;
  }
  ActivationStream Embedded() const {
    return ActivationStream(model_->embedding(), tokens_, model_->device());
  }

  std::unique_ptr<CausalLm> model_;
  TokenBatches tokens_;
  InferenceScope inference_;
};

TEST_P(Stream, ThroughAllBlocksIsTheModel) {
  ActivationStream stream = Embedded();
  stream.Advance(*model_, BlocksFrom(*model_));
  const HiddenStates resident(*model_, tokens_, "test");
  const StreamedModel from_files(*model_);
  const HiddenStates streamed(from_files, tokens_, "test");
  EXPECT_GT(stream.batches(), 1);
  for (int64_t i = 0; i < stream.batches(); ++i) {
    const Tensor expected = model_->Hidden(tokens_.ids()[static_cast<size_t>(i)]);
    EXPECT_TRUE(at::equal(stream.batch(i), expected));
    EXPECT_TRUE(at::equal(resident.Batch(i), expected));
    EXPECT_TRUE(at::equal(streamed.Batch(i), expected));
  }
}

TEST_P(Stream, LoadsEachBlockOnceForAllBatches) {
  const StreamedModel from_files(*model_);
  ActivationStream stream = Embedded();
  stream.Advance(from_files, BlocksFrom(from_files, 1));
  EXPECT_EQ(from_files.loads, from_files.config().num_layers() - 1);
}

TEST_P(Stream, ACopyStaysWhereItIs) {
  const ActivationStream start = Embedded();
  const Tensor before = start.batch(0).clone();
  ActivationStream moved = start;
  moved.Advance(*model_, BlocksFrom(*model_));
  EXPECT_TRUE(at::equal(start.batch(0), before));
  EXPECT_FALSE(at::equal(moved.batch(0), before));
}

TEST_P(Stream, StatesOfManyRowsAreCarriedInParts) {
  const Tensor x = Embedded().batch(0);  // [2, 32, width]
  const int64_t copies = 2 * TokenBatches::kBatchTokens / 64 + 1;
  ActivationStream many({x.repeat({copies, 1, 1})}, model_->device());
  many.Advance(model_->blocks()[0]);
  const Tensor expected = model_->blocks()[0].Forward(x);
  EXPECT_EQ(many.batch(0).size(0), copies * x.size(0));
  for (const int64_t copy : {int64_t{0}, copies - 1}) {
    EXPECT_TRUE(
        at::allclose(many.batch(0).narrow(0, copy * x.size(0), x.size(0)), expected, 1e-5, 1e-6));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Stream,
                         testing::Values(TinyModelOptions{}, TinyModelOptions{.opt = true}),
                         [](const auto& info) { return FamilyName(info.param); });

}  // namespace
}  // namespace condense
