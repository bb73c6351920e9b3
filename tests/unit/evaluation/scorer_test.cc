#include "evaluation/scorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "base/error.h"
#include "evaluation/packed_requests.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

std::vector<TokenId> Ids(std::initializer_list<TokenId> ids) { return ids; }

// Questions with choices, a request that is the beginning of another, equal requests, choices of
// one id, a shared continuation after different contexts, one id of context.
std::vector<EncodedRequest> Requests() {
  std::vector<EncodedRequest> requests;
  const auto add = [&](std::vector<TokenId> head, std::vector<TokenId> continuation) {
    requests.push_back({.head = std::move(head), .continuation = std::move(continuation)});
  };
  at::manual_seed(5);
  const auto random = [](int64_t count) {
    const Tensor ids = at::randint(2, 61, {count}, kI32);
    return std::vector<TokenId>(ids.const_data_ptr<int32_t>(),
                                ids.const_data_ptr<int32_t>() + count);
  };
  for (int question = 0; question < 12; ++question) {
    auto head = random(5 + question * 7 % 40);
    head.insert(head.begin(), {1, 7, 9});
    for (int choice = 0; choice < 4; ++choice) add(head, random(1 + (question + choice) % 6));
  }
  add(Ids({1, 7, 9}), Ids({4}));
  add(Ids({1, 7, 9}), Ids({4, 5}));
  add(Ids({1, 7, 9, 4, 5}), Ids({6, 8, 2}));
  add(Ids({1, 7, 9, 4, 5}), Ids({6, 8, 2}));
  for (const TokenId choice : {3, 11, 12}) add(Ids({1, 20, 21}), Ids({choice}));
  const auto shared = random(5);
  add(Ids({1, 30, 31, 32}), shared);
  add(Ids({1, 30, 31, 33, 34}), shared);
  add(Ids({2}), Ids({2}));
  return requests;
}

// By the definition: the logits of the whole input, alone.
Score ByDefinition(const CausalLm& model, const EncodedRequest& request) {
  const InferenceScope inference;
  const auto input = request.Input();
  const std::span<const TokenId> ids[] = {input};
  const Tensor logits = model.Logits(StackIds(ids, at::kCPU))[0].to(kF64);
  const Tensor log_probs = at::log_softmax(logits, -1);
  const auto count = static_cast<int64_t>(request.continuation.size());
  const auto first = static_cast<int64_t>(input.size()) - count;
  Score score{.tokens = count, .greedy = true};
  for (int64_t c = 0; c < count; ++c) {
    const int64_t id = request.continuation[static_cast<size_t>(c)];
    score.log_likelihood += log_probs[first + c][id].item<double>();
    score.greedy = score.greedy && logits[first + c].argmax().item<int64_t>() == id;
  }
  return score;
}

void ExpectEqual(const std::vector<Score>& a, const std::vector<Score>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t r = 0; r < a.size(); ++r) {
    EXPECT_NEAR(a[r].log_likelihood / b[r].log_likelihood, 1, 1e-5) << "request " << r;
    EXPECT_EQ(a[r].tokens, b[r].tokens);
    EXPECT_EQ(a[r].greedy, b[r].greedy) << "request " << r;
  }
}

class ScorerOfModel : public testing::TestWithParam<TinyModelOptions> {
 protected:
  const std::unique_ptr<CausalLm> model_ = MakeTinyModel(GetParam());
  const std::vector<EncodedRequest> requests_ = Requests();
};

TEST_P(ScorerOfModel, EqualsTheDefinition) {
  std::vector<Score> expected;
  for (const auto& request : requests_) expected.push_back(ByDefinition(*model_, request));
  ExpectEqual(ScoreRequests(*model_, requests_), expected);
}

TEST_P(ScorerOfModel, SharingChangesNothing) {
  ExpectEqual(ScoreRequests(*model_, requests_),
              ScoreRequests(*model_, requests_, {.share_prefixes = false}));
}

TEST_P(ScorerOfModel, BatchSizeChangesNothing) {
  const auto expected = ScoreRequests(*model_, requests_);
  for (const int64_t tokens : {1, 50, 300}) {
    ExpectEqual(ScoreRequests(*model_, requests_, {.batch_tokens = tokens}), expected);
  }
}

TEST_P(ScorerOfModel, OrderChangesNothing) {
  const auto expected = ScoreRequests(*model_, requests_);
  std::vector<EncodedRequest> reversed(requests_.rbegin(), requests_.rend());
  auto scores = ScoreRequests(*model_, reversed);
  std::reverse(scores.begin(), scores.end());
  ExpectEqual(scores, expected);
}

TEST_P(ScorerOfModel, StreamingChangesNothing) {
  const auto expected = ScoreRequests(*model_, requests_, {.batch_tokens = 100});
  const StreamedModel streamed(*model_);
  ExpectEqual(ScoreRequests(streamed, requests_, {.batch_tokens = 100}), expected);
  EXPECT_EQ(streamed.loads, 3);
  // Room for two batches at a time.
  const int64_t bytes = 2 * 100 * 32 * static_cast<int64_t>(at::elementSize(model_->dtype()));
  ExpectEqual(ScoreRequests(streamed, requests_, {.batch_tokens = 100, .stream_bytes = bytes}),
              expected);
  EXPECT_GT(streamed.loads, 6);
}

INSTANTIATE_TEST_SUITE_P(Models, ScorerOfModel,
                         testing::Values(TinyModelOptions{}, TinyModelOptions{.opt = true},
                                         TinyModelOptions{.dtype = kF64}),
                         [](const auto& info) {
                           return std::string(info.param.opt ? "opt" : "grouped") +
                                  (info.param.dtype == kF64 ? "_f64" : "");
                         });

TEST(Scorer, FollowsOneRequestToo) {
  const auto model = MakeTinyModel({});
  for (const auto& request : Requests()) {
    ExpectEqual(ScoreRequests(*model, {request}), {ByDefinition(*model, request)});
  }
  EXPECT_TRUE(ScoreRequests(*model, {}).empty());
}

TEST(Scorer, FillsTheWholeWindow) {
  const auto model = MakeTinyModel({.opt = true});
  EncodedRequest request{.head = std::vector<TokenId>(125, 3), .continuation = {4, 5, 6, 7}};
  ExpectEqual(ScoreRequests(*model, {request}), {ByDefinition(*model, request)});
}

TEST(Scorer, SaysWhichContinuationsAreGreedy) {
  const auto model = MakeTinyModel({});
  const std::vector<TokenId> prompt{1, 2, 3};
  const auto greedy = GenerateGreedy(*model, prompt, 4, -1);
  auto other = greedy;
  other[2] = (other[2] + 1) % 61;
  const auto scores = ScoreRequests(
      *model, {{.head = prompt, .continuation = greedy}, {.head = prompt, .continuation = other}});
  EXPECT_TRUE(scores[0].greedy);
  EXPECT_FALSE(scores[1].greedy);
}

TEST(Scorer, HandsOverEachRequestOnce) {
  const auto model = MakeTinyModel({});
  const auto requests = Requests();
  std::map<size_t, Score> received;
  size_t calls = 0;
  const auto scores = ScoreRequests(
      *model, requests, {.batch_tokens = 100, .finished = [&](auto places, auto finished) {
                           ++calls;
                           ASSERT_EQ(places.size(), finished.size());
                           for (size_t i = 0; i < places.size(); ++i) {
                             EXPECT_TRUE(received.emplace(places[i], finished[i]).second);
                           }
                         }});
  EXPECT_GT(calls, 3u);
  ASSERT_EQ(received.size(), requests.size());
  for (const auto& [place, score] : received) {
    EXPECT_EQ(score.log_likelihood, scores[place].log_likelihood);
  }
}

TEST(Scorer, NamesTheRequestThatIsNotFinite) {
  const auto good = MakeTinyModel({});
  CausalLmBuilder builder;
  Embedding embedding = good->LoadEmbedding();
  embedding.tokens = embedding.tokens.clone();
  embedding.tokens[60].fill_(std::numeric_limits<float>::infinity());
  builder.PutEmbedding(embedding);
  for (int64_t l = 0; l < 3; ++l) builder.PutBlock(l, good->LoadBlock(l));
  builder.PutHead(good->LoadHead());
  builder.Finish(good->config());
  const auto bad = builder.Take();
  const std::vector<EncodedRequest> requests{{.head = {1, 2}, .continuation = {3, 60}},
                                             {.head = {1, 2, 60}, .continuation = {3, 4}}};
  try {
    ScoreRequests(*bad, requests);
    FAIL();
  } catch (const NumericError& error) {
    EXPECT_STREQ(error.what(),
                 "request 1: the log-likelihood is not finite; first seen after the embedding");
  }
}

TEST(Scorer, NamesTheRequestWithAnUnknownId) {
  const auto model = MakeTinyModel({});
  try {
    ScoreRequests(*model,
                  {{.head = {1}, .continuation = {2}}, {.head = {61}, .continuation = {2}}});
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("request 1"), std::string::npos) << error.what();
  }
}

TEST(PackedRequests, ComputeEachSharedIdOnce) {
  const std::vector<EncodedRequest> requests{{.head = {1, 2, 3}, .continuation = {4, 5}},
                                             {.head = {1, 2, 3}, .continuation = {6}},
                                             {.head = {1, 2, 3}, .continuation = {7, 8, 9}},
                                             {.head = {1, 9}, .continuation = {5, 6}}};
  const auto batches = PlanBatches(requests, 100, /*share=*/true);
  ASSERT_EQ(batches.size(), 1u);
  const PackedBatch packed = PackBatch(requests, batches[0], /*share=*/true);
  EXPECT_EQ(packed.ids, Ids({1, 2, 3, 4, 7, 8, 9, 5}));
  EXPECT_EQ(batches[0].tokens, 8);
  ASSERT_EQ(packed.layout.runs().size(), 5u);
  EXPECT_EQ(packed.layout.runs()[4].parent, 0);
  // The last id of the question predicts the first of all three choices.
  const auto of_question = std::count_if(packed.targets.begin(), packed.targets.end(),
                                         [](const RowTarget& target) { return target.row == 0; });
  EXPECT_EQ(of_question, 3);
  EXPECT_EQ(packed.last_layout.queries(), 6);

  const auto plain = PlanBatches(requests, 100, /*share=*/false);
  EXPECT_EQ(plain[0].tokens, 4 + 3 + 5 + 3);
  EXPECT_EQ(PackBatch(requests, plain[0], /*share=*/false).layout.runs().size(), 4u);
}

}  // namespace
}  // namespace condense
