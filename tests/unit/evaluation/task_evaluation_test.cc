// Tasks from their files to accuracies, against what lm-evaluation-harness 0.4.13 computed.
#include "evaluation/task_evaluation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/causal_lm.h"
#include "model/stored/checkpoint_model.h"
#include "support/real_model.h"

namespace condense {
namespace {

using Json = nlohmann::json;

constexpr double kTolerance = 1e-3;  // of a log-likelihood
// Where two choices are closer than rounding, another order of summation may swap them.
constexpr double kNearTie = 2 * kTolerance;

class GoldenTasks : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto golden = WholeGoldenFile(GoldenOfModel("zeroshot", GetParam(), ".json"));
    const auto folder = AnyModelFolder(GetParam());
    CONDENSE_SKIP_WITHOUT(golden);
    CONDENSE_SKIP_WITHOUT(folder);
    std::ifstream file(golden);
    golden_ = Json::parse(file);
    model_ = CausalLm::Load(*CheckpointModel::Open(folder, {}));
    tokenizer_ = LoadTokenizer(folder);
  }

  static double Gap(const DocumentScore& document, bool by_length) {
    double best = -INFINITY, second = -INFINITY;
    for (const ChoiceScore& choice : document.choices) {
      const double length = by_length ? static_cast<double>(choice.code_points) : 1;
      const double value = choice.log_likelihood / length;
      second = std::max(second, std::min(best, value));
      best = std::max(best, value);
    }
    return best - second;
  }

  // How many documents of a task are compared.
  static int64_t Documents(const Json& golden) {
    const auto count = golden.at("count").get<int64_t>();
    const bool some = IsRealModel(GetParam()) && !ComparesWholeGoldens();
    return some ? std::min<int64_t>(count, 5) : count;
  }

  // Counts predictions that differ though they are no near-ties.
  void Compare(const Json& golden, const TaskScores& scores) {
    ASSERT_EQ(Documents(golden), static_cast<int64_t>(scores.documents.size()));
    for (size_t d = 0; d < scores.documents.size(); ++d) {
      const DocumentScore& document = scores.documents[d];
      const Json& expected = golden.at("docs").at(d);
      ASSERT_EQ(expected.at("loglikelihood").size(), document.choices.size());
      for (size_t c = 0; c < document.choices.size(); ++c) {
        const ChoiceScore& choice = document.choices[c];
        const double value = expected.at("loglikelihood").at(c);
        largest_ = std::max(largest_, std::abs(choice.log_likelihood - value));
        EXPECT_NEAR(choice.log_likelihood, value, kTolerance) << "document " << d;
        EXPECT_EQ(choice.tokens, expected.at("continuation_tokens").at(c).get<int64_t>());
        if (expected.contains("greedy")) {
          EXPECT_EQ(choice.greedy, expected.at("greedy").at(c).get<bool>());
        }
      }
      EXPECT_EQ(document.gold, expected.at("gold").get<int64_t>());
      CompareOutcome(document, expected, "acc", TaskMetric::kAcc);
      CompareOutcome(document, expected, "acc_norm", TaskMetric::kAccNorm);
    }
  }
  void CompareOutcome(const DocumentScore& document, const Json& expected, const char* name,
                      TaskMetric metric) {
    if (!expected.contains(name)) return;
    const bool right = Prediction(document, metric) == document.gold;
    if (right == (expected.at(name).get<double>() == 1)) return;
    swapped_[name] += right ? 1 : -1;
    EXPECT_LT(Gap(document, metric == TaskMetric::kAccNorm), kNearTie)
        << name << " of document " << document.index;
  }

  Json golden_;
  std::unique_ptr<CausalLm> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::map<std::string, int> swapped_;  // right here minus right there, among near-ties
  double largest_ = 0;
};

TEST_P(GoldenTasks, ScoresAreTheHarnesses) {
  const DataRoots roots = DataRoots::Default({SharedFolder() / "data"});
  for (const auto& [key, expected] : golden_.at("results").items()) {
    const std::string task = key.substr(0, key.find('/'));
    if (task == "requests") continue;
    SCOPED_TRACE(key);
    const std::string name = task == "hellaswag" ? "hellaswag-sample1000" : task;
    const TaskSet set = LoadTask(name, roots, {.limit = Documents(expected)});
    const bool bos = expected.at("mode") == "bos_default";
    const TaskScores scores =
        EvaluateTask(*model_, *tokenizer_, set,
                     {.protocol = RequestProtocolNamed(bos ? "lmeval-bos" : "lmeval-nobos")});
    swapped_.clear();
    Compare(expected, scores);
    if (Documents(expected) < expected.at("count").get<int64_t>()) continue;
    for (const TaskMetric metric : set.metrics) {
      const std::string metric_name(StoredName(metric));
      const TaskValue value = ValueOf(scores, metric);
      const double known = expected.at("summary").at(metric_name);
      const double count = static_cast<double>(value.count);
      EXPECT_NEAR(value.value, known + swapped_[metric_name] / count, 1e-12) << metric_name;
      if (swapped_[metric_name] != 0) continue;
      EXPECT_NEAR(value.standard_error,
                  expected.at("summary").at(metric_name + "_stderr").get<double>(), 1e-9);
    }
  }
  RecordProperty("largest_deviation", fmt::format("{:.2e}", largest_));
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenTasks,
                         testing::Values("llama2-mini", "llama3-mini", "opt-mini", "stories260k",
                                         kRealModel),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

class TaskEvaluationTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto folder = ModelFolder("llama3-mini");
    model_ = CausalLm::Load(*CheckpointModel::Open(folder, {}));
    tokenizer_ = LoadTokenizer(folder);
  }
  TaskScores Evaluate(const TaskEvaluation& evaluation) const {
    return EvaluateTask(*model_, *tokenizer_, task_, evaluation);
  }
  TaskSet task_ = LoadTask("bundle_facts", DataRoots::Default({}), {.limit = 30});
  TaskEvaluation plain_{.protocol = RequestProtocolNamed("lmeval-bos")};
  std::unique_ptr<CausalLm> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(TaskEvaluationTest, EveryDocumentIsKeptOnceAsItIsReturned) {
  std::map<int64_t, DocumentScore> kept;
  TaskEvaluation evaluation = plain_;
  evaluation.score.batch_tokens = 128;
  int calls = 0;
  evaluation.keep = [&](std::span<const DocumentScore> documents) {
    ++calls;
    for (const DocumentScore& document : documents) {
      EXPECT_TRUE(kept.emplace(document.index, document).second) << document.index;
    }
  };
  const TaskScores scores = Evaluate(evaluation);
  EXPECT_GT(calls, 1);
  ASSERT_EQ(kept.size(), scores.documents.size());
  for (const DocumentScore& document : scores.documents) {
    const DocumentScore& same = kept.at(document.index);
    EXPECT_EQ(same.sha256, document.sha256);
    for (size_t c = 0; c < document.choices.size(); ++c) {
      EXPECT_EQ(same.choices.at(c).log_likelihood, document.choices[c].log_likelihood);
    }
  }
}

TEST_F(TaskEvaluationTest, DocumentsThatWereScoredBeforeAreTakenAsTheyAre) {
  const TaskScores whole = Evaluate(plain_);
  TaskEvaluation rest = plain_;
  rest.done = {whole.documents[3], whole.documents[0]};
  rest.done[0].choices[0].log_likelihood = -1234;  // would not come out of the model
  size_t computed = 0;
  rest.keep = [&](std::span<const DocumentScore> documents) { computed += documents.size(); };
  const TaskScores scores = Evaluate(rest);
  EXPECT_EQ(computed, whole.documents.size() - 2);
  EXPECT_EQ(scores.documents[3].choices[0].log_likelihood, -1234);
  EXPECT_EQ(scores.documents[0].choices[1].log_likelihood,
            whole.documents[0].choices[1].log_likelihood);
  EXPECT_NEAR(scores.documents[7].choices[1].log_likelihood,
              whole.documents[7].choices[1].log_likelihood, 1e-4);
}

TEST_F(TaskEvaluationTest, AllDoneComputesNothing) {
  TaskEvaluation rest = plain_;
  rest.done = Evaluate(plain_).documents;
  rest.keep = [](std::span<const DocumentScore>) { ADD_FAILURE(); };
  EXPECT_EQ(Evaluate(rest).documents.size(), task_.documents.size());
}

TEST_F(TaskEvaluationTest, ScoresOfAnotherVersionOfTheTaskAreRefused) {
  TaskEvaluation rest = plain_;
  rest.done = {Evaluate(plain_).documents[0]};
  rest.done[0].sha256[0] ^= 1;
  EXPECT_THROW(Evaluate(rest), DataError);
}

TEST_F(TaskEvaluationTest, AContinuationLongerThanTheWindowNamesItsDocument) {
  TaskEvaluation narrow = plain_;
  narrow.max_length = 2;
  try {
    Evaluate(narrow);
    FAIL() << "accepted";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("facts.jsonl:"), std::string::npos) << error.what();
  }
}

TEST_F(TaskEvaluationTest, TruncationIsCountedAndOnlyCutsTheContext) {
  TaskEvaluation narrow = plain_;
  narrow.max_length = 12;
  const TaskScores whole = Evaluate(plain_), cut = Evaluate(narrow);
  int truncated = 0;
  for (size_t d = 0; d < cut.documents.size(); ++d) {
    truncated += cut.documents[d].truncated;
    EXPECT_FALSE(whole.documents[d].truncated);
    EXPECT_EQ(cut.documents[d].choices[0].tokens, whole.documents[d].choices[0].tokens);
  }
  EXPECT_GT(truncated, 0);
}

}  // namespace
}  // namespace condense
