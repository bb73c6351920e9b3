#include "results/score_samples.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "base/sha256.h"
#include "unit/results/fixture.h"

namespace condense {
namespace {

// Sums of float32 log-probabilities, as a scorer makes them.
double SomeLogLikelihood(Random& random, int64_t tokens) {
  double sum = 0;
  for (int64_t i = 0; i < tokens; ++i) sum += static_cast<float>(-8 * random.Uniform());
  return sum;
}

TaskScores SomeScores(const std::string& task, int64_t documents, int64_t choices) {
  TaskScores scores{.task = task,
                    .protocol = "lmeval-bos",
                    .requests_sha256 = Sha256Hex(task),
                    .fixed_choices = task == "boolq"};
  Random random(1, task);
  for (int64_t i = 0; i < documents; ++i) {
    DocumentScore document{.index = i, .sha256 = Sha256Hex(task + std::to_string(i))};
    // Ragged, as ARC is: most documents have the usual number.
    const int64_t count = choices + (choices > 2 && i % 300 == 7) - (choices > 3 && i % 200 == 9);
    document.gold = static_cast<int64_t>(random.Below(static_cast<uint64_t>(count)));
    document.truncated = i % 97 == 0;
    for (int64_t c = 0; c < count; ++c) {
      const auto tokens = static_cast<int64_t>(1 + random.Below(20));
      const auto letters = static_cast<int64_t>(3 * tokens + random.Below(8));
      document.choices.push_back({SomeLogLikelihood(random, tokens), tokens, letters,
                                  letters + (i % 50 == 0), random.Below(40) == 0});
    }
    scores.documents.push_back(std::move(document));
  }
  return scores;
}

void ExpectSame(const std::vector<DocumentScore>& got, const std::vector<DocumentScore>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].index, wanted[i].index);
    EXPECT_EQ(got[i].sha256, wanted[i].sha256);
    EXPECT_EQ(got[i].gold, wanted[i].gold);
    EXPECT_EQ(got[i].truncated, wanted[i].truncated);
    ASSERT_EQ(got[i].choices.size(), wanted[i].choices.size());
    for (size_t c = 0; c < got[i].choices.size(); ++c) {
      const ChoiceScore &a = got[i].choices[c], &b = wanted[i].choices[c];
      EXPECT_EQ(std::memcmp(&a.log_likelihood, &b.log_likelihood, sizeof a.log_likelihood), 0);
      EXPECT_EQ(a.tokens, b.tokens);
      EXPECT_EQ(a.code_points, b.code_points);
      EXPECT_EQ(a.bytes, b.bytes);
      EXPECT_EQ(a.greedy, b.greedy);
    }
  }
}

// Through the bytes that the database holds.
std::vector<SampleRecord> Stored(std::vector<SampleRecord> records, size_t* bytes = nullptr) {
  for (SampleRecord& record : records) {
    const std::string blob = EncodeSamples(record.values);
    if (bytes != nullptr) *bytes += blob.size();
    record.values = DecodeSamples(blob, record.name);
  }
  return records;
}

TEST(ScoreSamples, ComeBackBitForBit) {
  TaskScores scores = SomeScores("arc_easy", 700, 4);
  // Values that text would not keep.
  scores.documents[3].choices[0].log_likelihood = -0.0;
  scores.documents[3].choices[1].log_likelihood = -std::numeric_limits<double>::denorm_min();
  scores.documents[4].choices[0].log_likelihood = std::nextafter(-17.0, 0.0);
  const TaskScores back = UnpackScores(Stored(PackScores(scores)));
  EXPECT_EQ(back.task, scores.task);
  EXPECT_EQ(back.protocol, scores.protocol);
  EXPECT_EQ(back.requests_sha256, scores.requests_sha256);
  EXPECT_FALSE(back.fixed_choices);
  ExpectSame(back.documents, scores.documents);
}

TEST(ScoreSamples, ComeBackInPartsAndWithNoDocuments) {
  const TaskScores scores = SomeScores("boolq", 40, 2);
  const std::span<const DocumentScore> all(scores.documents);
  const auto part = PackDocuments("lmeval-bos", "boolq", all.subspan(10, 5));
  ExpectSame(UnpackDocuments(Stored(part)),
             {scores.documents.begin() + 10, scores.documents.begin() + 15});
  EXPECT_TRUE(UnpackDocuments(Stored(PackDocuments("lmeval-bos", "boolq", {}))).empty());
  EXPECT_TRUE(UnpackScores(PackScores(scores)).fixed_choices);
  EXPECT_TRUE(HoldsScores(PackScores(scores)));
  EXPECT_FALSE(HoldsScores({{"bundled-256", "", "window_nll", {std::vector<double>{1}, 1}}}));
}

TEST(ScoreSamples, OfTheFiveTasksTakeAboutAMegabyte) {
  size_t bytes = 0;
  for (const TaskScores& scores :
       {SomeScores("arc_easy", 2376, 4), SomeScores("arc_challenge", 1172, 4),
        SomeScores("piqa", 1838, 2), SomeScores("winogrande", 1267, 2),
        SomeScores("hellaswag", 10042, 4)}) {
    ExpectSame(UnpackScores(Stored(PackScores(scores), &bytes)).documents, scores.documents);
  }
  RecordProperty("bytes", static_cast<int>(bytes));
  EXPECT_LT(bytes, 1'100'000u);
}

std::string UnpackError(const std::vector<SampleRecord>& records) {
  try {
    UnpackScores(records);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

TEST(ScoreSamples, RefuseArraysThatDoNotFit) {
  const std::vector<SampleRecord> good = PackScores(SomeScores("arc_easy", 5, 4));
  EXPECT_EQ(UnpackError(good), "no error");
  for (size_t i = 0; i < good.size(); ++i) {
    SCOPED_TRACE(good[i].name);
    auto records = good;
    records.erase(records.begin() + static_cast<int64_t>(i));
    EXPECT_NE(UnpackError(records).find(good[i].name + ": missing"), std::string::npos);
    records = good;
    std::visit([](auto& values) { values.push_back(values.back()); }, records[i].values.values);
    EXPECT_NE(UnpackError(records), "no error");
    records = good;
    records[i].values.values = std::vector<float>{1};
    EXPECT_NE(UnpackError(records).find("another type"), std::string::npos);
  }
  auto records = good;
  records[3].task = "piqa";
  EXPECT_NE(UnpackError(records).find("mixed up"), std::string::npos);
  records = good;
  std::get<std::vector<int64_t>>(records[4].values.values)[2] = -1;  // choices
  EXPECT_NE(UnpackError(records).find("document 2: -1 choices"), std::string::npos);
  records = good;
  std::get<std::vector<int64_t>>(records[2].values.values)[2] = 4;  // gold
  EXPECT_NE(UnpackError(records).find("document 2: 4 choices, the right one is 4"),
            std::string::npos);
  EXPECT_NE(UnpackError({}).find("missing"), std::string::npos);
}

TEST(SamplesOfRun, ListWhatStatisticsNeed) {
  const StoreFolder folder;
  const TaskScores easy = SomeScores("arc_easy", 30, 4), piqa = SomeScores("piqa", 20, 2);
  int64_t run_id = 0;
  {
    ResultsStore store = folder.Open();
    const int64_t environment = StoreFolder::Fill(store, {"a", "b"});
    store.RegisterProtocol("lmeval-bos", "{}");
    run_id = store.ClaimRun("a", environment).id;
    const Claim windows = store.ClaimStage(run_id, {"ppl", "evaluate", ""}, environment);
    MetricRecord perplexity = Perplexity(12.5);
    perplexity.basis = "ids";
    const SampleArray losses{std::vector<double>{2.5, 2.75}, 1};
    ASSERT_TRUE(store.FinishStage(
        windows.id,
        {.metrics = {perplexity}, .samples = {{"bundled-256", "", "window_nll", losses}}}));
    const Claim tasks = store.ClaimStage(run_id, {"tasks", "evaluate", ""}, environment);
    StageResult result;
    for (const TaskScores& scores : {easy, piqa}) {
      for (const char* name : {"acc", "acc_norm"}) {
        result.metrics.push_back({.protocol = "lmeval-bos",
                                  .task = scores.task,
                                  .metric = name,
                                  .value = 0.5,
                                  .basis = scores.requests_sha256});
      }
      for (SampleRecord& record : PackScores(scores)) result.samples.push_back(std::move(record));
    }
    ASSERT_TRUE(store.FinishStage(tasks.id, result));
    // Another run shares one of the stages.
    const Claim other = store.ClaimRun("b", environment);
    store.ClaimStage(other.id, {"ppl", "evaluate", ""}, environment);
  }
  const ResultsStore store = ResultsStore::Open(folder.path(), OpenMode::kRead);
  const auto samples = store.SamplesOfRun(run_id);
  ASSERT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples[0].stage_key, "ppl");
  EXPECT_EQ(samples[0].protocol, "bundled-256");
  EXPECT_EQ(samples[0].basis, "ids");
  ASSERT_EQ(samples[0].records.size(), 1u);
  EXPECT_EQ(samples[0].records[0].name, "window_nll");
  EXPECT_FALSE(HoldsScores(samples[0].records));
  EXPECT_EQ(samples[1].task, "arc_easy");
  EXPECT_EQ(samples[1].basis, easy.requests_sha256);
  ExpectSame(UnpackScores(samples[1].records).documents, easy.documents);
  EXPECT_EQ(samples[2].task, "piqa");
  ExpectSame(UnpackScores(samples[2].records).documents, piqa.documents);

  EXPECT_EQ(store.SamplesOfRun(store.FindRun("b")->id).size(), 1u);
  EXPECT_EQ(store.SamplesOfStage("tasks").size(), 2u);
  EXPECT_TRUE(store.SamplesOfStage("none").empty());
}

TEST(SamplesOfRun, LeaveOutStagesThatFailedSince) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  const int64_t environment = StoreFolder::Fill(store, {"a"});
  const int64_t run_id = store.ClaimRun("a", environment).id;
  const StagePlan plan{"s", "evaluate", ""};
  const Claim stage = store.ClaimStage(run_id, plan, environment);
  const SampleArray losses{std::vector<double>{1}, 1};
  ASSERT_TRUE(store.FinishStage(stage.id, {.samples = {{"bundled-256", "", "nll", losses}}}));
  EXPECT_EQ(store.SamplesOfRun(run_id).size(), 1u);
  EXPECT_EQ(store.SamplesOfRun(run_id)[0].basis, "");  // there is no metric
  store.ClaimStage(run_id, plan, environment, {.retake_done = true});
  EXPECT_EQ(store.SamplesOfRun(run_id).size(), 1u);  // the old result stands meanwhile
  store.FailStage(stage.id, "data", "gone");
  EXPECT_TRUE(store.SamplesOfRun(run_id).empty());
}

}  // namespace
}  // namespace condense
