// Requests of tasks against what lm-evaluation-harness builds: the stored strings of its version
// 0.4.13, and the digests of all requests that its repository keeps since version 0.3.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "data/tasks/task.h"
#include "data/tasks/task_definition.h"
#include "support/shared_data.h"

namespace condense {
namespace {

using nlohmann::json;

json ReadJson(const std::filesystem::path& path) { return json::parse(ReadFile(path)); }
DataRoots Roots() { return DataRoots::Default({SharedFolder() / "data"}); }

void ExpectRequests(const TaskDocument& document, const json& requests) {
  ASSERT_EQ(document.requests.size(), requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(document.requests[i].context, requests[i][0]);
    EXPECT_EQ(document.requests[i].continuation, requests[i][1]);
  }
}

// --- Stored requests of real and bundled files

struct StoredTask {
  std::string golden, task;
  size_t documents;  // how many are stored
};

class StoredRequests : public ::testing::TestWithParam<StoredTask> {};

INSTANTIATE_TEST_SUITE_P(
    Tasks, StoredRequests,
    ::testing::Values(StoredTask{"arc_easy", "arc_easy", 300},
                      StoredTask{"arc_challenge", "arc_challenge", 300},
                      StoredTask{"piqa", "piqa", 300}, StoredTask{"winogrande", "winogrande", 300},
                      StoredTask{"hellaswag", "hellaswag-sample1000", 300},
                      StoredTask{"bundle_science_easy", "bundle_science_easy", 120},
                      StoredTask{"bundle_facts", "bundle_facts", 100},
                      StoredTask{"bundle_physical", "bundle_physical", 120},
                      StoredTask{"bundle_continuations", "bundle_continuations", 120},
                      StoredTask{"bundle_coreference", "bundle_coreference", 120}),
    [](const auto& info) { return info.param.golden; });

TEST_P(StoredRequests, EqualOurs) {
  const auto path = GoldenFile("zeroshot/requests/" + GetParam().golden + ".json");
  CONDENSE_SKIP_WITHOUT(path);
  if (!GetParam().golden.starts_with("bundle")) {
    CONDENSE_SKIP_WITHOUT(SharedFolder() / "data");
  }
  const json golden = ReadJson(path).at("docs");
  const TaskSet task = LoadTask(GetParam().task, Roots());
  EXPECT_TRUE(task.known_file) << task.file;
  EXPECT_TRUE(task.known_requests) << task.requests_sha256;
  ASSERT_EQ(golden.size(), GetParam().documents);
  for (const json& stored : golden) {
    const auto& document = task.documents.at(stored.at("doc").get<size_t>());
    SCOPED_TRACE(GetParam().task + " " + stored.at("doc").dump());
    EXPECT_EQ(document.index, stored.at("doc"));
    ExpectRequests(document, stored.at("requests"));
  }
}

TEST_P(StoredRequests, HaveTheGoldsThatTheHarnessFound) {
  const auto path = WholeGoldenFile("zeroshot/llama2-mini.json");
  CONDENSE_SKIP_WITHOUT(path);
  if (!GetParam().golden.starts_with("bundle")) {
    CONDENSE_SKIP_WITHOUT(SharedFolder() / "data");
  }
  const json golden = ReadJson(path).at("results").at(GetParam().golden + "/bos_default");
  const TaskSet task = LoadTask(GetParam().task, Roots());
  for (const json& stored : golden.at("docs")) {
    EXPECT_EQ(task.documents.at(stored.at("doc").get<size_t>()).gold, stored.at("gold"));
  }
}

// --- Whole files

struct WholeTask {
  const char* task;
  int64_t documents, requests;
  const char* sha256;       // over all requests, in document order
  const char* harness_v03;  // what the harness keeps in tests/testdata/<task>-v0-loglikelihood
};

class WholeFile : public ::testing::TestWithParam<WholeTask> {};

// The files of the last three are not among the development data; whoever has them and names their
// folder sees them tested too.
INSTANTIATE_TEST_SUITE_P(
    Tasks, WholeFile,
    ::testing::Values(WholeTask{"arc_easy", 2376, 9501,
                                "ee96294c56114cc42dca67c9354e5a1016bc6dad147791c4dc2b98fa831eabcc",
                                "ffa6e39a35a16299dcb015f17f986aaa598ad8b4840c4cebe0339a7042232741"},
                      WholeTask{"arc_challenge", 1172, 4687,
                                "2a4405f2b6e24951d4a581ce7d1952a4db3701980c06c0afc9268941336d0940",
                                "41c34c96cca8ace661911d0033d630c554b283f5a3953bcdc50720ae6b00a9c1"},
                      WholeTask{"piqa", 1838, 3676,
                                "88f89a90139d07e4d006bdf479120d662a70f14b2b7dabf05570b7d262fcff02",
                                "6048a3a2bb3ad1e6a3d98139618e06b4d7de766edd685bd38837596199c3f69f"},
                      WholeTask{"winogrande", 1267, 2534,
                                "736feae2d899ae96ec17520dba28d2f080d042fbafccdd9cb6a2b4967af94e04",
                                "90a3eff49de9173964d46f5ed57bcf9a78a72dd1bfe0e5323b25cebb40b49ea9"},
                      WholeTask{"hellaswag", 10042, 40168, "",
                                "abb808c97d6529eda6c11067837a132c62d25cba0394d720f80cca6df9f7196e"},
                      WholeTask{"openbookqa", 500, 2000, "",
                                "78a49a0ca1a47373adb33463b1d092e6bc0d8f4b01bcb380ada48065037849d7"},
                      WholeTask{
                          "mathqa", 2985, 14925, "",
                          "a45260e49f02c7cb8886b3746db4d388890860b202dd8a9f0267e3c324e0af13"}),
    [](const auto& info) { return info.param.task; });

// Python's random.Random(42).shuffle of 0 .. count - 1.
std::vector<size_t> ShuffledByPython(size_t count) {
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  PythonRandom random(42);
  for (size_t i = count; i-- > 1;) {
    std::swap(order[i], order[static_cast<size_t>(random.RandInt(0, static_cast<int64_t>(i)))]);
  }
  return order;
}

// The digest as the harness kept it: of the JSON list of all pairs, documents shuffled.
std::string HarnessDigest(const TaskSet& task) {
  std::string text = "[";
  for (const size_t index : ShuffledByPython(task.documents.size())) {
    for (const Request& request : task.documents[index].requests) {
      if (text.size() > 1) text += ", ";
      text += fmt::format("[{}, {}]", json(request.context).dump(-1, ' ', /*ensure_ascii=*/true),
                          json(request.continuation).dump(-1, ' ', /*ensure_ascii=*/true));
    }
  }
  return Sha256Hex(text + "]");
}

TEST_P(WholeFile, GivesTheRequestsWhoseDigestTheHarnessKeeps) {
  const WholeTask& expected = GetParam();
  std::filesystem::path file;
  try {
    file = FindTaskFile(expected.task, Roots());
  } catch (const DataError&) {
    GTEST_SKIP() << "the file of " << expected.task << " is absent";
  }
  const TaskSet task = LoadTask(expected.task, Roots());
  EXPECT_EQ(task.name, expected.task);
  EXPECT_EQ(task.file, file.string());
  EXPECT_EQ(static_cast<int64_t>(task.documents.size()), expected.documents);
  EXPECT_EQ(task.RequestCount(), expected.requests);
  if (*expected.sha256 != '\0') {
    EXPECT_EQ(task.requests_sha256, expected.sha256);
  }
  EXPECT_EQ(HarnessDigest(task), expected.harness_v03);
}

TEST(WholeFiles, AreFoundInTheDataFolderAndDirectly) {
  CONDENSE_SKIP_WITHOUT(SharedFolder() / "data/tasks");
  EXPECT_EQ(FindTaskFile("piqa", {{SharedFolder() / "data"}, {}}),
            FindTaskFile("piqa", {{SharedFolder() / "data/tasks"}, {}}));
}

// --- Records written by hand, in every form; the strings are the harness's

class HandMadeRecords : public ::testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:                                                 // task, file
  void SetUp() override { SetLogLevel(LogLevel::kError); }  // the files are short: no warnings
  void TearDown() override { SetLogLevel(LogLevel::kInfo); }
};

INSTANTIATE_TEST_SUITE_P(Forms, HandMadeRecords,
                         ::testing::Values(std::pair{"arc_easy", "arc_easy.datasets.jsonl"},
                                           std::pair{"arc_easy", "arc_easy.published.jsonl"},
                                           std::pair{"arc_easy", "arc_easy.derived.jsonl"},
                                           std::pair{"boolq", "boolq.datasets.jsonl"},
                                           std::pair{"boolq", "boolq.published.jsonl"},
                                           std::pair{"hellaswag", "hellaswag.datasets.jsonl"},
                                           std::pair{"hellaswag", "hellaswag.published.jsonl"},
                                           std::pair{"lambada_openai",
                                                     "lambada_openai.datasets.jsonl"},
                                           std::pair{"mathqa", "mathqa.datasets.jsonl"},
                                           std::pair{"mathqa", "mathqa.published.json"},
                                           std::pair{"openbookqa", "openbookqa.datasets.jsonl"},
                                           std::pair{"openbookqa", "openbookqa.published.jsonl"},
                                           std::pair{"piqa", "piqa.datasets.jsonl"},
                                           std::pair{"piqa", "piqa.published.jsonl"},
                                           std::pair{"winogrande", "winogrande.datasets.jsonl"},
                                           std::pair{"winogrande", "winogrande.published.jsonl"}),
                         [](const auto& info) { return TestName(info.param.second); });

TEST_P(HandMadeRecords, GiveTheRequestsOfTheHarness) {
  const auto& [name, file] = GetParam();
  const auto folder = SourceFolder() / "tests/golden/tasks";
  const json golden = ReadJson(folder / "requests.json").at("tasks").at(name);
  const TaskSet task = LoadTask(name, {}, {.limit = std::nullopt, .file = folder / file});
  ASSERT_EQ(task.documents.size(), golden.size());
  for (size_t i = 0; i < golden.size(); ++i) {
    SCOPED_TRACE(i);
    ExpectRequests(task.documents[i], golden[i].at("requests"));
    EXPECT_EQ(task.documents[i].gold, golden[i].at("gold"));
  }
}

TEST(HandMadeForms, OfTheSameRecordsHaveOneDigest) {
  const auto folder = SourceFolder() / "tests/golden/tasks";
  SetLogLevel(LogLevel::kError);
  const auto load = [&](const char* file) {
    return LoadTask("piqa", {}, {.limit = std::nullopt, .file = folder / file});
  };
  const TaskSet exported = load("piqa.datasets.jsonl"), published = load("piqa.published.jsonl");
  EXPECT_EQ(exported.requests_sha256, published.requests_sha256);
  EXPECT_EQ(exported.documents[1].sha256, published.documents[1].sha256);
  EXPECT_NE(exported.data_sha256, published.data_sha256);
  SetLogLevel(LogLevel::kInfo);
}

}  // namespace
}  // namespace condense
