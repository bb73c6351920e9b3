// From the log-likelihoods that lm-evaluation-harness stored, its accuracies and standard errors
// follow: ten tasks, four models, with and without BOS.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "stats/means.h"
#include "stats/task_scores.h"
#include "support/shared_data.h"

namespace condense {
namespace {

using Json = nlohmann::json;

Json ReadJson(const std::filesystem::path& file) { return Json::parse(ReadFile(file)); }

// `requests`: of the same task, for the choices' texts.
TaskScores ScoresOf(const Json& result, const Json& requests) {
  TaskScores scores{.task = result.at("task")};
  for (const Json& doc : result.at("docs")) {
    DocumentScore document{.index = doc.at("doc"), .gold = doc.at("gold")};
    for (size_t c = 0; c < doc.at("loglikelihood").size(); ++c) {
      const std::string continuation = requests.at("docs").at(document.index).at("requests")[c][1];
      const std::string text = continuation.substr(1);
      document.choices.push_back({.log_likelihood = doc.at("loglikelihood")[c],
                                  .tokens = doc.at("continuation_tokens")[c],
                                  .code_points = static_cast<int64_t>(CodePointCount(text)),
                                  .bytes = static_cast<int64_t>(text.size())});
    }
    scores.documents.push_back(std::move(document));
  }
  return scores;
}

void ExpectMetric(const Json& result, const TaskScores& scores, TaskMetric metric) {
  const std::string name(StoredName(metric));
  const TaskValue value = ValueOf(scores, metric);
  EXPECT_EQ(value.value, result.at("summary").at(name).get<double>()) << name;
  EXPECT_NEAR(value.standard_error, result.at("summary").at(name + "_stderr").get<double>(), 1e-9);
  const std::vector<double> outcomes = Outcomes(scores, metric);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_EQ(outcomes[i], result.at("docs")[i].at(name).get<double>()) << name << " of " << i;
  }
}

class GoldenScores : public testing::TestWithParam<const char*> {};

TEST_P(GoldenScores, FollowFromTheStoredLogLikelihoods) {
  const auto file = WholeGoldenFile("zeroshot/" + (std::string(GetParam()) + ".json"));
  CONDENSE_SKIP_WITHOUT(file);
  const Json golden = ReadJson(file);
  int tasks = 0;
  for (const auto& [name, result] : golden.at("results").items()) {
    if (!result.contains("docs")) continue;  // the pairs of inputs/requests.json
    SCOPED_TRACE(name);
    const std::string task = result.at("task");
    const TaskScores scores =
        ScoresOf(result, ReadJson(GoldenFile("zeroshot/requests/" + task + ".json")));
    ExpectMetric(result, scores, TaskMetric::kAcc);
    if (result.at("summary").contains("acc_norm")) {
      ExpectMetric(result, scores, TaskMetric::kAccNorm);
    }
    // The first documents of a task have its usual number of choices, nearly.
    ASSERT_TRUE(KnownChanceLevel(task).has_value());
    EXPECT_NEAR(*KnownChanceLevel(task), ChanceLevel(scores), 0.003);
    ++tasks;
  }
  EXPECT_GE(tasks, 10);  // the bundled ones twice; 20 with the development data
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenScores,
                         testing::Values("llama2-mini", "llama3-mini", "opt-mini", "stories260k"));

}  // namespace
}  // namespace condense
