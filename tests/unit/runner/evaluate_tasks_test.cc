// `runner evaluate --tasks` and experiments with tasks, as a user runs them.
#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "results/results_store.h"
#include "results/score_samples.h"
#include "unit/runner/runner_process.h"

namespace condense {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class EvaluateTasks : public testing::Test {
 protected:
  std::vector<std::string> Command(const std::string& tasks,
                                   std::vector<std::string> more = {}) const {
    std::vector<std::string> command = {"evaluate", "--model", BundledModel("llama3-mini"),
                                        "--tasks", tasks};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }
  std::filesystem::path Write(const std::string& name, const std::string& text) const {
    WriteText(folder_.path() / name, text);
    return folder_.path() / name;
  }
  std::string Refusal(std::vector<std::string> arguments, int exit_code) const {
    const ProgramResult result = CallProgramWith(std::move(arguments));
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    return result.err;
  }

  TempFolder folder_;
};

TEST_F(EvaluateTasks, GivesTheAccuraciesOfTheHarness) {
  std::ifstream file(GoldenFile("zeroshot/llama3-mini.json"));
  const json golden = json::parse(file).at("results");
  const ProgramResult result =
      CallProgramWith(Command("bundle_facts,bundle_coreference,bundle_continuations", {"--json"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json printed = result.Json();
  EXPECT_EQ(printed.at("protocol"), "lmeval-bos");
  for (const auto& [task, values] : printed.at("tasks").items()) {
    for (const auto& [metric, value] : golden.at(task + "/bos_default").at("summary").items()) {
      EXPECT_NEAR(values.at(metric).get<double>(), value.get<double>(), 1e-9) << task << metric;
    }
    EXPECT_TRUE(values.at("known_file").get<bool>());
    EXPECT_EQ(values.at("truncated"), 0);
  }
  EXPECT_EQ(printed.at("tasks").size(), 3u);
}

TEST_F(EvaluateTasks, APartNeverPassesForTheWholeTask) {
  const json tasks =
      CallProgramWith(Command("bundle_facts", {"--limit", "5", "--json"})).Json().at("tasks");
  EXPECT_EQ(tasks.items().begin().key(), "bundle_facts@first-5");
  EXPECT_EQ(tasks.items().begin().value().at("documents"), 5);
}

TEST_F(EvaluateTasks, ProtocolsDiffer) {
  const auto value = [&](const char* protocol) {
    return CallProgramWith(Command("bundle_facts", {"--protocol", protocol, "--samples",
                                                    (folder_.path() / protocol).string()}))
        .exit_code;
  };
  EXPECT_EQ(value("lmeval-bos") + value("lmeval-nobos") + value("lmeval-0.3"), 0);
  EXPECT_NE(ReadFile(folder_.path() / "lmeval-bos"), ReadFile(folder_.path() / "lmeval-nobos"));
  EXPECT_THAT(Refusal(Command("bundle_facts", {"--protocol", "lmeval-bo"}), 2),
              HasSubstr("lmeval-bos"));
}

TEST_F(EvaluateTasks, SamplesHoldEveryRequestAndItsScore) {
  const auto path = folder_.path() / "samples.jsonl";
  const json printed =
      CallProgramWith(Command("bundle_facts", {"--samples", path.string(), "--json"})).Json();
  std::ifstream lines(path);
  std::string line;
  double right = 0;
  int count = 0;
  while (std::getline(lines, line)) {
    const json document = json::parse(line);
    EXPECT_EQ(document.at("doc"), count++);
    EXPECT_EQ(document.at("requests").size(), document.at("log_likelihoods").size());
    right += document.at("acc").get<double>();
  }
  EXPECT_EQ(count, 100);
  EXPECT_DOUBLE_EQ(right / count, printed.at("tasks").at("bundle_facts").at("acc").get<double>());
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".part"));
}

TEST_F(EvaluateTasks, GoesOnAfterKillMinusNine) {
  const auto path = folder_.path() / "samples.jsonl";
  const auto part = path.string() + ".part";
  const auto command = Command("bundle_continuations,bundle_science_easy",
                               {"--samples", path.string(), "--batch-tokens", "64"});
  ASSERT_EQ(CallProgramWith(command).exit_code, 0);
  const std::string whole = ReadFile(path);
  std::filesystem::remove(path);
  {
    Program program(command);
    for (int i = 0; i < 3000; ++i) {
      std::error_code none;
      if (std::filesystem::file_size(part, none) > 2000 && !none) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    EXPECT_EQ(program.Kill(SIGKILL).exit_code, 128 + SIGKILL);
  }
  ASSERT_TRUE(std::filesystem::exists(part));
  // What was being written at that moment is cut off.
  std::ofstream(part, std::ios::app) << R"({"task":"bundle_contin)";

  EXPECT_THAT(Refusal(Command("bundle_facts", {"--samples", path.string()}), 2),
              HasSubstr("another model, protocol or set of tasks"));
  const ProgramResult second = CallProgramWith(command);
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.err, HasSubstr("resuming after"));
  EXPECT_FALSE(std::filesystem::exists(part));
  // Batches are others than without the interruption, so sums differ in the last digits.
  std::istringstream before(whole), after(ReadFile(path));
  std::string a, b;
  while (std::getline(before, a)) {
    ASSERT_TRUE(std::getline(after, b));
    const json x = json::parse(a), y = json::parse(b);
    EXPECT_EQ(x.at("sha256"), y.at("sha256"));
    EXPECT_EQ(x.at("acc"), y.at("acc"));
    for (size_t c = 0; c < x.at("log_likelihoods").size(); ++c) {
      const double value = x.at("log_likelihoods").at(c);
      EXPECT_NEAR(value, y.at("log_likelihoods").at(c).get<double>(), 1e-5 * std::abs(value));
    }
  }
}

TEST_F(EvaluateTasks, TakesAUsersOwnFile) {
  const auto windows = Write("own.jsonl",
                             "\xEF\xBB\xBF{\"question\": \"A dog can\", \"choices\": [\"bark\", "
                             "\"fly\"], \"gold\": 0}\r\n");
  const ProgramResult result =
      CallProgramWith(Command("bundle_facts=" + windows.string(), {"--json"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("not comparable"));
  const json task = result.Json().at("tasks").at("bundle_facts");
  EXPECT_EQ(task.at("documents"), 1);
  EXPECT_FALSE(task.at("known_file").get<bool>());
}

TEST_F(EvaluateTasks, AWrongRecordIsNamedByFileLineAndKeys) {
  const auto file = Write("own.jsonl",
                          "{\"question\": \"A\", \"choices\": [\"b\", \"c\"], \"gold\": 0}\n"
                          "{\"qestion\": \"A\", \"choices\": [\"b\", \"c\"], \"gold\": 0}\n");
  const std::string message = Refusal(Command("bundle_facts=" + file.string()), 3);
  EXPECT_THAT(message, HasSubstr("own.jsonl:2"));
  EXPECT_THAT(message, HasSubstr("qestion"));
}

TEST_F(EvaluateTasks, RefusesWhatWouldBeIgnored) {
  EXPECT_THAT(Refusal(Command("bundle_facts", {"--window", "64"}), 2),
              HasSubstr("--window cannot be combined with --tasks"));
  EXPECT_THAT(Refusal({"evaluate", "--model", BundledModel("llama3-mini"), "--protocol",
                       "bundled-256", "--limit", "3"},
                      2),
              HasSubstr("--limit applies only to --tasks"));
  EXPECT_THAT(Refusal(Command("bundle_fact"), 2), HasSubstr("did you mean 'bundle_facts'?"));
  EXPECT_THAT(Refusal(Command("bundle_facts,bundle_facts"), 2), HasSubstr("listed twice"));
  EXPECT_THAT(Refusal(Command("bundle_facts", {"--limit", "0"}), 2), HasSubstr("--limit 0"));
  EXPECT_THAT(Refusal(Command("arc_easy"), 3), HasSubstr("arc_easy_test.jsonl"));
}

TEST_F(EvaluateTasks, AgreementOfAModelWithItselfIsPerfect) {
  const ProgramResult result = CallProgramWith(
      {"evaluate", "--model", BundledModel("llama3-mini"), "--dense", BundledModel("llama3-mini"),
       "--text", GoldenText("bundle/text/stories.txt").string(), "--window", "256", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.Json().at("kl_mean"), 0);
  EXPECT_EQ(result.Json().at("top1_agree"), 1);
  EXPECT_EQ(result.Json().at("perplexity_ratio"), 1);
}

TEST_F(EvaluateTasks, AgreementNeedsTheSameTokenizer) {
  EXPECT_THAT(Refusal({"evaluate", "--model", BundledModel("llama3-mini"), "--dense",
                       BundledModel("llama2-mini"), "--protocol", "bundled-256"},
                      2),
              HasSubstr("tokenizer differs from"));
}

class ExperimentWithTasks : public testing::Test {
 protected:
  ExperimentWithTasks()
      : file_(configs_.Experiment("tasks", R"(title: Tasks
models: [llama3-mini]
methods: [dense, shortgpt]
ratios: [0.3]
calibration: [tiny-8x64]
zero_shot: {tasks: [bundle_facts, bundle_coreference], limit: 20}
agreement: [tiny-64]
table: {cell: {metric: acc, task: bundle_facts@first-20}}
)")) {}
  ProgramResult Run(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {file_.string(), "--db", database_.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return CallProgramWith(arguments);
  }

  TinyConfigs configs_;
  std::filesystem::path file_, database_ = configs_.folder() / "results" / "results.sqlite";
};

TEST_F(ExperimentWithTasks, StoresScoresFromWhichTheMetricsFollow) {
  ASSERT_EQ(Run().exit_code, 0);
  const ResultsStore store = ResultsStore::Open(database_, OpenMode::kRead);
  int compared = 0;
  bool diverges = false;
  for (const ExperimentCell& cell :
       store.CellsOfExperiment(store.FindExperiment("tasks", "")->id)) {
    const std::vector<MetricRecord> metrics = store.MetricsOfRun(cell.run.id);
    for (const StoredSamples& samples : store.SamplesOfRun(cell.run.id)) {
      if (!HoldsScores(samples.records)) continue;
      const TaskScores scores = UnpackScores(samples.records);
      EXPECT_EQ(scores.documents.size(), 20u);
      for (const MetricRecord& metric : metrics) {
        if (metric.task != samples.task) continue;
        EXPECT_EQ(metric.basis, scores.requests_sha256);
        EXPECT_EQ(metric.value, ValueOf(scores, MetricNamed(metric.metric, scores).value()).value);
        ++compared;
      }
    }
    for (const MetricRecord& metric : metrics) diverges |= metric.metric == "kl_mean";
  }
  EXPECT_EQ(compared, 2 * (4 + 1));
  EXPECT_TRUE(diverges);
}

TEST_F(ExperimentWithTasks, AnInterruptedTaskGoesOnAfterItsLastStoredDocuments) {
  ASSERT_EQ(Run().exit_code, 0);
  std::string key;
  {
    ResultsStore store = ResultsStore::Open(database_, OpenMode::kWrite);
    const ExperimentCell cell =
        store.CellsOfExperiment(store.FindExperiment("tasks", "")->id).front();
    TaskScores scores;
    for (const StoredSamples& samples : store.SamplesOfRun(cell.run.id)) {
      if (samples.task != "bundle_facts@first-20") continue;
      key = samples.stage_key;
      scores = UnpackScores(samples.records);
    }
    ASSERT_FALSE(key.empty());
    // As if a process had been killed after three documents, with a score no model would give.
    const StageRecord stage = store.FindStage(key).value();
    const int64_t environment = stage.state.environment_id.value();
    store.ClaimRun(cell.run.fingerprint, environment, {.retake_done = true});
    const Claim claim = store.ClaimStage(cell.run.id, {key, stage.kind, stage.name}, environment,
                                         {.retake_done = true});
    scores.documents.resize(3);
    scores.documents[1].choices[0].log_likelihood = -4321;
    ASSERT_TRUE(store.KeepPart(
        claim.id, PackDocuments("lmeval-bos", "bundle_facts@first-20", scores.documents)));
  }
  ASSERT_EQ(Run({"--rerun", "all"}).exit_code, 0);
  const ResultsStore store = ResultsStore::Open(database_, OpenMode::kRead);
  for (const StoredSamples& samples : store.SamplesOfStage(key)) {
    const TaskScores scores = UnpackScores(samples.records);
    ASSERT_EQ(scores.documents.size(), 20u);
    EXPECT_EQ(scores.documents[1].choices[0].log_likelihood, -4321);
    EXPECT_NE(scores.documents[4].choices[0].log_likelihood, -4321);
  }
  EXPECT_TRUE(store.PartsOfStage(store.FindStage(key)->id).empty());
}

}  // namespace
}  // namespace condense
