#include "stats/task_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "unit/stats/fixture.h"

namespace condense {
namespace {

using enum TaskMetric;
using testing::ElementsAre;
using testing::IsEmpty;

// Each way of dividing prefers another choice.
DocumentScore LengthsMatter() {
  DocumentScore document{.index = 0, .gold = 0};
  document.choices = {{-10, /*tokens=*/10, /*code_points=*/10, /*bytes=*/10},   // best by none
                      {-9, /*tokens=*/2, /*code_points=*/3, /*bytes=*/3},       // best as it is
                      {-20, /*tokens=*/4, /*code_points=*/40, /*bytes=*/40},    // by code point
                      {-30, /*tokens=*/5, /*code_points=*/30, /*bytes=*/100},   // by byte
                      {-16, /*tokens=*/40, /*code_points=*/16, /*bytes=*/16}};  // by id
  return document;
}

TEST(Prediction, DividesByTheLengthOfItsMetric) {
  const DocumentScore document = LengthsMatter();
  EXPECT_EQ(Prediction(document, kAcc), 1);
  EXPECT_EQ(Prediction(document, kAccNorm), 2);
  EXPECT_EQ(Prediction(document, kAccBytes), 3);
  EXPECT_EQ(Prediction(document, kAccTok), 4);
}

TEST(Prediction, GivesTiesToTheLowestIndex) {
  EXPECT_EQ(Prediction(SomeDocument(0, 0, {-3, -2, -2, -2.5}), kAcc), 1);
  EXPECT_EQ(Prediction(SomeDocument(0, 0, {-2, -2}), kAccNorm), 0);
  // The same quotient of different lengths.
  DocumentScore document{.choices = {{-30, 1, 40, 1}, {-2, 1, 4, 1}, {-4, 1, 8, 1}}};
  EXPECT_EQ(Prediction(document, kAccNorm), 1);
}

TEST(Prediction, OfAChoiceWithoutTextByLengthIsTheHarnesss) {
  // NumPy divides by zero too: -inf, which never wins against another choice.
  DocumentScore document{.choices = {{-1, 1, 0, 0}, {-50, 1, 4, 4}}};
  EXPECT_EQ(Prediction(document, kAcc), 0);
  EXPECT_EQ(Prediction(document, kAccNorm), 1);
}

TEST(TaskValue, IsTheShareOfRightChoices) {
  const TaskScores scores = SomeScores("t", {true, true, false, true});
  EXPECT_THAT(Outcomes(scores, kAcc), ElementsAre(1, 1, 0, 1));
  const TaskValue value = ValueOf(scores, kAcc);
  EXPECT_EQ(value.value, 0.75);
  EXPECT_EQ(value.count, 4);
  EXPECT_DOUBLE_EQ(value.standard_error, std::sqrt(0.75 * 0.25 / 3));
}

TEST(TaskValue, OfOneChoiceIsGreedinessAndPerplexity) {
  TaskScores scores{.task = "lambada_openai"};
  for (const double value : {-1.0, -2.0, -6.0}) {
    scores.documents.push_back(SomeDocument(0, 0, {value}));
    scores.documents.back().choices[0].greedy = value > -3;
  }
  EXPECT_DOUBLE_EQ(ValueOf(scores, kGreedy).value, 2.0 / 3);
  const TaskValue perplexity = ValueOf(scores, kPerplexity);
  EXPECT_DOUBLE_EQ(perplexity.value, std::exp(3.0));
  // Deviation of {1, 2, 6} is sqrt(7); delta method.
  EXPECT_DOUBLE_EQ(perplexity.standard_error, std::exp(3.0) * std::sqrt(7.0 / 3));
  EXPECT_EQ(MetricNamed("acc", scores), kGreedy);
  EXPECT_EQ(MetricNamed("ppl", scores), kPerplexity);
  EXPECT_EQ(MetricNamed("acc_norm", scores), std::nullopt);
}

TEST(TaskMetric, IsFoundByItsStoredName) {
  const TaskScores scores = SomeScores("t", {true});
  for (const TaskMetric metric : {kAcc, kAccNorm, kAccBytes, kAccTok}) {
    EXPECT_EQ(MetricNamed(StoredName(metric), scores), metric);
  }
  EXPECT_EQ(MetricNamed("ppl", scores), std::nullopt);
}

TEST(ChanceLevel, IsTheMeanOverDocuments) {
  TaskScores scores;
  scores.documents = {SomeDocument(0, 0, {-1, -2, -3}), SomeDocument(1, 1, {-1, -2, -3, -4, -5})};
  EXPECT_DOUBLE_EQ(ChanceLevel(scores), (1.0 / 3 + 1.0 / 5) / 2);
}

// `yes` of `count` documents have gold 1; the model takes choice 1 in the first `taken` ones.
TaskScores YesNo(int yes, int count, int taken) {
  TaskScores scores{.task = "boolq", .fixed_choices = true};
  for (int i = 0; i < count; ++i) {
    scores.documents.push_back(SomeDocument(i, i < yes ? 1 : 0, {-2.0, i < taken ? -1.0 : -3.0}));
  }
  return scores;
}

TEST(Flags, NameAModelThatAlwaysTakesOneChoice) {
  EXPECT_DOUBLE_EQ(MajorityShare(YesNo(2033, 3270, 0)), 2033.0 / 3270);
  EXPECT_THAT(FlagsOf(YesNo(620, 1000, 1000), kAcc), ElementsAre("majority_class"));
  EXPECT_THAT(FlagsOf(YesNo(620, 1000, 950), kAcc), ElementsAre("majority_class"));
  EXPECT_THAT(FlagsOf(YesNo(620, 1000, 949), kAcc), IsEmpty());
  // 120 + 500 right: as many as the majority has, without a majority of predictions.
  TaskScores balanced = YesNo(620, 1000, 0);
  for (size_t i = 0; i < 380; ++i) balanced.documents[i].choices[1].log_likelihood = -1;
  for (size_t i = 0; i < 240; ++i) balanced.documents[i].choices[1].log_likelihood = -1;
  EXPECT_EQ(ValueOf(balanced, kAcc).value, 0.76);
  EXPECT_THAT(FlagsOf(balanced, kAcc), IsEmpty());
}

TEST(Flags, NameAnAccuracyEqualToTheMajorityShare) {
  // 600 of 1000 are yes. Yes is said to 500 of them and to 100 others: 500 + 300 right, no flag;
  // to 300 and to 100: 300 + 300 right, exactly the share.
  TaskScores scores = YesNo(600, 1000, 0);
  const auto say_yes = [&](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) scores.documents[i].choices[1].log_likelihood = -1;
  };
  say_yes(0, 300);
  say_yes(600, 700);
  EXPECT_THAT(FlagsOf(scores, kAcc), ElementsAre("majority_class"));
  say_yes(300, 500);
  EXPECT_THAT(FlagsOf(scores, kAcc), IsEmpty());
}

TEST(Flags, DoNotNameOneChoiceWhereChoicesHaveNoFixedMeaning) {
  TaskScores scores = YesNo(620, 1000, 1000);
  scores.fixed_choices = false;
  EXPECT_THAT(FlagsOf(scores, kAcc), IsEmpty());
}

TEST(Flags, NameChanceAndWorse) {
  const auto flags = [](size_t right) {
    std::vector<bool> answers(1000, false);
    std::fill_n(answers.begin(), right, true);
    return FlagsOf(SomeScores("piqa", answers), kAcc);
  };
  EXPECT_THAT(flags(530), ElementsAre("chance"));
  EXPECT_THAT(flags(532), IsEmpty());  // Wilson: from 0.5010
  EXPECT_THAT(flags(470), ElementsAre("chance"));
  EXPECT_THAT(flags(468), ElementsAre("below_chance"));
}

TEST(Flags, AreNoneWithoutChoices) {
  TaskScores scores{.task = "lambada_openai"};
  scores.documents = {SomeDocument(0, 0, {-1})};
  EXPECT_THAT(FlagsOf(scores, kGreedy), IsEmpty());
  EXPECT_THAT(FlagsOf(TaskScores{}, kAcc), IsEmpty());
}

}  // namespace
}  // namespace condense
