// Channel selectors on a small MLP with explicit hidden activations (T49, T50, T55, T72, T74).
#include "compression/selectors/channel_selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compression/solvers/refit.h"
#include "config/registry.h"
#include "tensor/linalg.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

constexpr int64_t kChannels = 12, kOut = 5, kTokens = 40;

// An MLP whose hidden activations are given.
struct Fixture {
  Tensor hidden;  // [kTokens, kChannels]
  Mlp mlp;
  BlockStatistics statistics;

  explicit Fixture(const std::string& purpose) : hidden(Activations(kTokens, kChannels, purpose)) {
    mlp.up.weight = Normals({kChannels, 7}, purpose + "/up").to(kF32);
    mlp.gate.weight = Normals({kChannels, 7}, purpose + "/gate").to(kF32);
    mlp.down.weight = Normals({kOut, kChannels}, purpose + "/down").to(kF32);
    Measure();
  }
  void Measure() {
    statistics.Set(Gram(Tap::kMlpHidden), GramOf(hidden));
    statistics.Set(Mean(Tap::kMlpHidden), hidden.mean(0));
    statistics.Set(SecondMoment(Tap::kMlpHidden), hidden.square().mean(0));
    statistics.tokens = kTokens;
    statistics.sequences = 4;
  }
  ChannelInput Input(uint64_t seed = 1, int64_t layer = 0) const {
    return MlpChannels(statistics, mlp, Random(seed, "layer " + std::to_string(layer)));
  }
};

Component<ChannelSelector> Make(const std::string& yaml) {
  return MakeComponent<ChannelSelector>(Node::ParseText(yaml, "test"));
}

TEST(ChannelSelectors, AreRegistered) {
  EXPECT_THAT(
      Registry<ChannelSelector>::Instance().Names(),
      IsSupersetOf({"energy", "even", "flap", "leverage", "magnitude", "obc", "random", "wanda"}));
}

TEST(ChannelSelectors, KeepAscendingDistinctChannelsAndAllOfThemWhenAsked) {
  const Fixture fixture("all selectors");
  for (const std::string& name : Registry<ChannelSelector>::Instance().Names()) {
    const auto selector = Make(name);
    for (const int64_t k : {int64_t{1}, int64_t{5}, kChannels}) {
      const Indices kept = selector->Select(fixture.Input(), k);
      ASSERT_EQ(static_cast<int64_t>(kept.size()), k) << name;
      EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end())) << name;
      EXPECT_EQ(std::adjacent_find(kept.begin(), kept.end()), kept.end()) << name;
      EXPECT_TRUE(kept.front() >= 0 && kept.back() < kChannels) << name;
    }
  }
}

TEST(Leverage, RanksByTheDiagonalOfTheRidgedInverse) {
  const Fixture fixture("leverage");
  const Tensor c = GramOf(fixture.hidden);
  for (const auto& [yaml, lambda] :
       {std::pair{"{use: leverage, lambda: 50}", 50.0},
        std::pair{"{use: leverage, lambda: 50, gram_scale: per_sequence}", 50.0 * 4},
        std::pair{"{use: leverage, lambda: 50, gram_scale: per_token}", 50.0 * kTokens}}) {
    const Tensor leverage =
        at::matmul(c, at::linalg_inv(c + lambda * at::eye(kChannels, c.options()))).diagonal();
    EXPECT_EQ(Make(yaml)->Select(fixture.Input(), 5), LargestIndices(leverage, 5)) << yaml;
  }
}

TEST(Leverage, TakesTheRidgeOfTheMethodUnlessItHasItsOwn) {
  const Fixture fixture("method ridge");
  ChannelInput input = fixture.Input();
  input.ridge = {.lambda = 0.5, .scale = GramScale::kPerToken};
  EXPECT_EQ(
      Make("leverage")->Select(input, 5),
      Make("{use: leverage, lambda: 0.5, gram_scale: per_token}")->Select(fixture.Input(), 5));
}

TEST(Obc, DropsAChannelThatOthersCanReplaceAndKeepsOneThatTheyCannot) {
  Fixture fixture("obc");
  fixture.hidden.select(1, 3).copy_(fixture.hidden.select(1, 5) + fixture.hidden.select(1, 8));
  fixture.Measure();
  const Indices kept = Make("{use: obc}")->Select(fixture.Input(), kChannels - 1);
  const Indices dropped = Complement(kept, kChannels);
  EXPECT_THAT(dropped, ::testing::AnyOf(ElementsAre(3), ElementsAre(5), ElementsAre(8)));
}

TEST(Obc, LosesLessThanLeverageAfterTheSameRefit) {
  double obc = 0, leverage = 0;
  for (int i = 0; i < 10; ++i) {
    const Fixture fixture("compare" + std::to_string(i));
    const Tensor c = GramOf(fixture.hidden), w = fixture.Input().Consumer();
    obc += RefitDelta(c, w, Make("obc")->Select(fixture.Input(), 7), 0).squared_error;
    leverage += RefitDelta(c, w, Make("leverage")->Select(fixture.Input(), 7), 0).squared_error;
  }
  EXPECT_LT(obc, leverage);
}

TEST(Wanda, OrdersByAbsoluteWeightsWhereAllChannelsAreEquallyLarge) {  // T74
  Fixture fixture("wanda");
  fixture.statistics.Set(SecondMoment(Tap::kMlpHidden), at::full({kChannels}, 2.5, at::kDouble));
  const Tensor absolute = fixture.mlp.down.weight.to(kF64).abs().sum(0);
  EXPECT_EQ(Make("wanda")->Select(fixture.Input(), 5), LargestIndices(absolute, 5));
}

TEST(Flap, DropsAConstantChannelFirst) {  // T72
  Fixture fixture("flap");
  fixture.hidden.select(1, 6).fill_(1e3);
  fixture.Measure();
  for (const char* yaml : {"flap", "{use: flap, metric: ifv}"}) {
    EXPECT_THAT(Complement(Make(yaml)->Select(fixture.Input(), kChannels - 1), kChannels),
                ElementsAre(6));
  }
  EXPECT_THAT(Make("{use: flap, metric: wifn}")->Select(fixture.Input(), 1), ElementsAre(6));
}

TEST(Flap, ScoresTheErrorOfReplacingAChannelByItsMean) {  // T71, for one channel
  const Fixture fixture("flap error");
  const Tensor w = fixture.Input().Consumer(), h = fixture.hidden;
  Tensor errors = at::empty({kChannels}, h.options());
  for (int64_t j = 0; j < kChannels; ++j) {
    const Tensor varying = h.select(1, j) - h.select(1, j).mean();
    errors[j] = SquaredNorm(at::outer(varying, w[j])) / kTokens;
  }
  EXPECT_EQ(Make("flap")->Select(fixture.Input(), 4), LargestIndices(errors, 4));
}

TEST(Magnitude, CountsAllWeightsOfAChannelOrThoseOfTheConsumer) {
  const Fixture fixture("magnitude");
  const auto squares = [](const Tensor& weight, int64_t dim) {
    return weight.to(kF64).square().sum(dim);
  };
  const Tensor consumer = squares(fixture.mlp.down.weight, 0);
  const Tensor coupled =
      consumer + squares(fixture.mlp.up.weight, 1) + squares(fixture.mlp.gate.weight, 1);
  EXPECT_EQ(Make("magnitude")->Select(fixture.Input(), 5), LargestIndices(coupled, 5));
  EXPECT_EQ(Make("{use: magnitude, of: consumer}")->Select(fixture.Input(), 5),
            LargestIndices(consumer, 5));
}

TEST(Even, IsEvenlySpaced) {  // T50
  const Fixture fixture("even");
  EXPECT_THAT(Make("even")->Select(fixture.Input(), 4), ElementsAre(1, 4, 7, 10));
}

TEST(RandomSelector, DependsOnSeedAndLayerAlone) {  // T49
  const Fixture fixture("random");
  const auto selector = Make("random");
  const Indices first = selector->Select(fixture.Input(1, 0), 6);
  const Indices other_layer = selector->Select(fixture.Input(1, 1), 6);
  EXPECT_EQ(selector->Select(fixture.Input(1, 0), 6), first);
  EXPECT_NE(other_layer, first);
  EXPECT_NE(selector->Select(fixture.Input(2, 0), 6), first);
}

}  // namespace
}  // namespace condense
