// Streams of many trials, in memory and in a file.
#include "compression/allocators/trial_states.h"

#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace condense {
namespace {

TEST(TrialStates, InAFileAreThoseInMemoryBitForBit) {
  const InferenceScope inference;
  const TinyModel tiny;
  at::manual_seed(1);
  // Two batches, of 2 sequences of 9 tokens and of 1 of 5, for 3 trials and for 1.
  const auto random = [](int64_t trials) {
    return std::vector<Tensor>{at::randn({2 * trials, 9, 32}), at::randn({trials, 5, 32})};
  };
  const std::vector<Tensor> three = random(3), one = random(1);
  const uint64_t bytes = (3 * 18 + 3 * 5) * 32 * sizeof(float);
  std::vector<std::vector<Tensor>> results;
  for (const uint64_t memory : {10 * bytes, bytes, uint64_t{0}}) {
    TrialStates states(memory);
    const auto copies = [](const std::vector<Tensor>& all) {
      return std::vector<Tensor>{all[0].clone(), all[1].clone()};
    };
    states.Add({4, 5, 6}, copies(three));
    states.Advance(tiny.model->LoadBlock(0));
    states.Add({7}, copies(one));
    states.Advance(tiny.model->LoadBlock(1));
    EXPECT_EQ(states.groups(), 2u);
    EXPECT_EQ(states.bytes_in_file(), memory == 0       ? bytes + bytes / 3
                                      : memory == bytes ? bytes / 3
                                                        : 0);
    std::vector<int64_t> trials;
    std::vector<Tensor> all;
    states.TakeAll([&](const TrialGroup& group) {
      trials.insert(trials.end(), group.trials.begin(), group.trials.end());
      all.insert(all.end(), group.states.begin(), group.states.end());
    });
    EXPECT_EQ(trials, (std::vector<int64_t>{4, 5, 6, 7}));
    EXPECT_EQ(states.groups(), 0u);
    results.push_back(std::move(all));
  }
  const Tensor expected =
      tiny.model->LoadBlock(1).Forward(tiny.model->LoadBlock(0).Forward(three[0]));
  EXPECT_TRUE(at::equal(results[0][0], expected));
  for (const auto& others : {results[1], results[2]}) {
    ASSERT_EQ(others.size(), 4u);
    for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(at::equal(others[i], results[0][i])) << i;
  }
}

}  // namespace
}  // namespace condense
