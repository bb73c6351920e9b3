// Log-likelihoods of the choices of ten tasks against lm-eval 0.4.13.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "evaluation/scorer.h"
#include "model/causal_lm.h"
#include "model/checkpoint_model.h"
#include "support/shared_data.h"

namespace condense {
namespace {

constexpr const char* kTasks[] = {"arc_easy",          "arc_challenge",   "piqa",
                                  "winogrande",        "hellaswag",       "bundle_science_easy",
                                  "bundle_facts",      "bundle_physical", "bundle_continuations",
                                  "bundle_coreference"};

struct Mode {
  const char* model;
  const char* golden;  // name of the mode in the golden file
  const char* protocol;
  size_t documents;  // of each task
};

class GoldenTasks : public testing::TestWithParam<Mode> {};

TEST_P(GoldenTasks, LogLikelihoodsAgree) {
  const auto [name, mode, protocol, limit] = GetParam();
  const auto golden_file =
      GoldenFile(std::filesystem::path("zeroshot") / (std::string(name) + ".json"));
  CONDENSE_SKIP_WITHOUT(golden_file);
  CONDENSE_SKIP_WITHOUT(SharedFolder() / "golden/zeroshot/requests");
  CONDENSE_SKIP_WITHOUT(ModelFolder(name));
  const auto results = ReadJson(golden_file).at("results");
  const auto model = CausalLm::Load(*CheckpointModel::Open(ModelFolder(name)));
  const auto tokenizer = LoadTokenizer(ModelFolder(name));
  const RequestEncoder encoder(*tokenizer, RequestProtocolNamed(protocol),
                               model->config().max_positions);
  std::vector<EncodedRequest> requests;
  std::vector<double> expected;
  std::vector<bool> greedy;
  for (const std::string task : kTasks) {
    const auto texts = ReadJson(SharedFolder() / "golden/zeroshot/requests" / (task + ".json"));
    const auto rows = results.at(task + "/" + mode).at("docs");
    ASSERT_EQ(rows.size(), texts.at("docs").size()) << task;
    for (size_t d = 0; d < std::min(limit, rows.size()); ++d) {
      const auto& pairs = texts.at("docs")[d].at("requests");
      for (size_t c = 0; c < pairs.size(); ++c) {
        requests.push_back(encoder.Encode({pairs[c][0], pairs[c][1]}));
        expected.push_back(rows[d].at("loglikelihood")[c].get<double>());
        greedy.push_back(rows[d].at("greedy")[c].get<bool>());
        EXPECT_EQ(requests.back().continuation.size(), rows[d].at("continuation_tokens")[c]);
      }
    }
  }
  const auto scores = ScoreRequests(*model, requests);
  double largest = 0;
  for (size_t r = 0; r < scores.size(); ++r) {
    largest = std::max(largest, std::abs(scores[r].log_likelihood - expected[r]));
    EXPECT_EQ(scores[r].greedy, greedy[r]) << "request " << r;
  }
  EXPECT_LT(largest, 1e-3);
  RecordProperty("requests", static_cast<int>(requests.size()));
  RecordProperty("largest_deviation", std::to_string(largest));
}

constexpr size_t kAll = 1000;
INSTANTIATE_TEST_SUITE_P(Models, GoldenTasks,
                         testing::Values(Mode{"llama2-mini", "bos_default", "lmeval-bos", kAll},
                                         Mode{"llama2-mini", "no_bos", "lmeval-nobos", 20},
                                         Mode{"llama3-mini", "bos_default", "lmeval-bos", 20},
                                         Mode{"llama3-mini", "no_bos", "lmeval-nobos", 60},
                                         Mode{"opt-mini", "bos_default", "lmeval-bos", 60},
                                         Mode{"opt-mini", "no_bos", "lmeval-nobos", 20},
                                         Mode{"stories260k", "bos_default", "lmeval-bos", 60},
                                         Mode{"stories260k", "no_bos", "lmeval-nobos", 20}),
                         [](const auto& info) {
                           std::string name =
                               std::string(info.param.model) + "_" + info.param.golden;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace condense
