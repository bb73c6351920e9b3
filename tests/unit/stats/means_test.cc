#include "stats/means.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "unit/stats/fixture.h"

namespace condense {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

// LLaMA-2-7B dense, protocols.md 9.4.
std::vector<StoredTaskValue> DenseLlama(const std::string& protocol = "lmeval-nobos") {
  return {{protocol, "piqa", "acc_norm", 0.7911, 0.01},
          {protocol, "winogrande", "acc", 0.6906, 0.02},
          {protocol, "hellaswag", "acc_norm", 0.7599, 0.03},
          {protocol, "arc_easy", "acc_norm", 0.7458, 0.04},
          {protocol, "arc_challenge", "acc_norm", 0.4625, 0.05}};
}

std::vector<std::string> Ids(const std::vector<MeanValue>& means) {
  std::vector<std::string> ids;
  for (const MeanValue& mean : means) ids.push_back(mean.id);
  return ids;
}

TEST(Means, AreThoseOfThePublishedTables) {
  const auto means = CompleteMeans(DenseLlama());
  ASSERT_EQ(means.size(), 1u);
  EXPECT_EQ(means[0].id, "mean5");
  EXPECT_EQ(means[0].protocol, "lmeval-nobos");
  EXPECT_NEAR(means[0].value, 0.6900, 5e-5);  // printed: 69.00
  EXPECT_DOUBLE_EQ(means[0].standard_error, std::sqrt(0.0055) / 5);
}

TEST(Means, UseTheMetricsOfTheirDefinition) {
  std::vector<StoredTaskValue> values = DenseLlama();
  for (const char* task : {"piqa", "arc_easy"})
    values.push_back({"lmeval-nobos", task, "acc", 0.5});
  EXPECT_THAT(Ids(CompleteMeans(values)), ElementsAre("mean5", "mean5-uniql"));
  for (const char* task : {"hellaswag", "arc_challenge"}) {
    values.push_back({"lmeval-nobos", task, "acc", 0.5});
  }
  values.push_back({"lmeval-nobos", "boolq", "acc", 0.5});
  values.push_back({"lmeval-nobos", "openbookqa", "acc_norm", 0.5});
  const auto means = CompleteMeans(values);
  EXPECT_THAT(Ids(means), ElementsAre("mean5", "mean5-uniql", "mean5-acc", "mean7"));
  EXPECT_DOUBLE_EQ(means[1].value, (0.5 + 0.6906 + 0.7599 + 0.5 + 0.4625) / 5);
  EXPECT_DOUBLE_EQ(means[2].value, (0.5 + 0.6906 + 0.5 + 0.5 + 0.5) / 5);
}

TEST(Means, NeedEveryTaskUnderOneProtocol) {
  std::vector<StoredTaskValue> values = DenseLlama();
  values[3].protocol = "lmeval-bos";
  EXPECT_THAT(CompleteMeans(values), IsEmpty());
  std::vector<StoredTaskValue> both = DenseLlama("lmeval-bos");
  for (const StoredTaskValue& value : DenseLlama("lmeval-0.3")) both.push_back(value);
  const auto means = CompleteMeans(both);
  ASSERT_EQ(means.size(), 2u);
  EXPECT_EQ(means[0].protocol, "lmeval-bos");
  EXPECT_EQ(means[1].protocol, "lmeval-0.3");
}

TEST(Means, LeaveOutPartsAndSamplesOfTasks) {
  std::vector<StoredTaskValue> sample = DenseLlama(), part = DenseLlama();
  sample[2].task = "hellaswag-sample1000";
  part[3].task = "arc_easy@first-100";
  EXPECT_THAT(CompleteMeans(sample), IsEmpty());
  EXPECT_THAT(CompleteMeans(part), IsEmpty());
}

TEST(Means, RefuseTwoValuesOfOneTask) {
  std::vector<StoredTaskValue> values = DenseLlama();
  values.push_back(values[0]);
  EXPECT_EQ(CompleteMeans(values).size(), 1u);  // the same value again is no contradiction
  values.back().value = 0.3;
  EXPECT_THROW(CompleteMeans(values), DataError);
}

TEST(Means, AreFoundByTheirId) {
  EXPECT_EQ(FindMean("mean7").terms.size(), 7u);
  try {
    FindMean("mean6");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean"), std::string::npos);
  }
}

TEST(ChanceLevel, IsKnownForEveryTaskOfAMean) {
  EXPECT_NEAR(*KnownChanceLevel("arc_easy"), 0.2502, 5e-5);
  EXPECT_NEAR(*KnownChanceLevel("arc_challenge"), 0.2502, 5e-5);
  EXPECT_THAT(KnownChanceLevel("mathqa"), Optional(0.2));
  EXPECT_EQ(KnownChanceLevel("lambada_openai"), std::nullopt);
  EXPECT_NEAR(ChanceLevel(FindMean("mean5")), (0.5 + 0.5 + 0.25 + 0.2502 + 0.2502) / 5, 1e-4);
  for (const NamedMean& mean : NamedMeans()) EXPECT_GT(ChanceLevel(mean), 0.2);
}

TEST(Retention, IsAShareOfDense) {
  EXPECT_THAT(Retention(0.6078, 0.69), Optional(DoubleEq(100 * 0.6078 / 0.69)));
  EXPECT_THAT(ChanceCorrectedRetention(0.5, 0.75, 0.25), Optional(DoubleEq(50)));
  EXPECT_THAT(ChanceCorrectedRetention(0.2, 0.75, 0.25), Optional(DoubleEq(-10)));
  EXPECT_EQ(Retention(0.5, 0), std::nullopt);
  EXPECT_EQ(ChanceCorrectedRetention(0.5, 0.25, 0.25), std::nullopt);
  EXPECT_EQ(ChanceCorrectedRetention(0.3, 0.2, 0.25), std::nullopt);
}

}  // namespace
}  // namespace condense
