// Parts of unfinished stages: what is kept survives, what is finished leaves none behind.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "base/error.h"
#include "results/database.h"
#include "results/score_samples.h"
#include "unit/results/fixture.h"

namespace condense {
namespace {

using Outcome = Claim::Outcome;
using Part = std::vector<SampleRecord>;

const StagePlan kStage{"evaluation of a", "evaluate", "evaluate arc_easy"};

Part SomePart(double first) {
  return {{"lmeval-bos", "arc_easy", "log_likelihood", {std::vector<double>{first, -0.0}, 2}},
          {"lmeval-bos", "arc_easy", "document_index", {std::vector<int64_t>{7}, 1}}};
}

void ExpectParts(const ResultsStore& store, int64_t stage_id, const std::vector<double>& firsts) {
  const auto parts = store.PartsOfStage(stage_id);
  ASSERT_EQ(parts.size(), firsts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part expected = SomePart(firsts[i]);
    ASSERT_EQ(parts[i].size(), expected.size());
    for (size_t k = 0; k < expected.size(); ++k) {
      EXPECT_EQ(parts[i][k].protocol, expected[k].protocol);
      EXPECT_EQ(parts[i][k].task, expected[k].task);
      EXPECT_EQ(parts[i][k].name, expected[k].name);
      EXPECT_EQ(parts[i][k].values, expected[k].values);
    }
  }
}

// A store with a claimed stage.
struct Working {
  explicit Working(const StoreFolder& folder) : store(folder.Open()) {
    environment = StoreFolder::Fill(store, {"a"});
    run_id = store.ClaimRun("a", environment).id;
    stage_id = store.ClaimStage(run_id, kStage, environment).id;
  }
  ResultsStore store;
  int64_t environment = 0, run_id = 0, stage_id = 0;
};

TEST(Parts, ComeBackInTheOrderInWhichTheyWereKept) {
  const StoreFolder folder;
  Working work(folder);
  ExpectParts(work.store, work.stage_id, {});
  for (const double first : {3.0, 1.0, 2.0}) {
    ASSERT_TRUE(work.store.KeepPart(work.stage_id, SomePart(first)));
  }
  ExpectParts(work.store, work.stage_id, {3, 1, 2});
  ExpectParts(ResultsStore::Open(folder.path(), OpenMode::kRead), work.stage_id, {3, 1, 2});
  // They are no results.
  EXPECT_TRUE(work.store.SamplesOfRun(work.run_id).empty());
  EXPECT_TRUE(work.store.SamplesOfStage(kStage.key).empty());
}

TEST(Parts, BelongToTheirStage) {
  const StoreFolder folder;
  Working work(folder);
  const Claim other = work.store.ClaimStage(work.run_id, {"other", "evaluate", ""}, 1);
  work.store.KeepPart(work.stage_id, SomePart(1));
  work.store.KeepPart(other.id, SomePart(2));
  ASSERT_TRUE(work.store.FinishStage(other.id, {}));
  ExpectParts(work.store, work.stage_id, {1});
  ExpectParts(work.store, other.id, {});
}

TEST(Parts, GoWhenTheStageIsFinished) {
  const StoreFolder folder;
  Working work(folder);
  work.store.KeepPart(work.stage_id, SomePart(1));
  ASSERT_TRUE(work.store.FinishStage(work.stage_id, {.samples = SomePart(5)}));
  ExpectParts(work.store, work.stage_id, {});
  EXPECT_EQ(work.store.SamplesOfStage(kStage.key).size(), 1u);
  Database database(folder.path(), Database::Access::kWrite, std::chrono::seconds(5));
  EXPECT_EQ(database.Integer("SELECT count(*) FROM stage_parts"), 0);
}

TEST(Parts, StayWhenTheResultCannotBeStored) {
  const StoreFolder folder;
  Working work(folder);
  work.store.KeepPart(work.stage_id, SomePart(1));
  // The same sample twice breaks the transaction after the parts are gone in it.
  Part twice = SomePart(5);
  twice.push_back(twice.front());
  EXPECT_THROW(work.store.FinishStage(work.stage_id, {.samples = twice}), DataError);
  ExpectParts(work.store, work.stage_id, {1});
}

TEST(Parts, StayForTheAttemptAfterAFailure) {
  const StoreFolder folder;
  Working work(folder);
  work.store.KeepPart(work.stage_id, SomePart(1));
  work.store.FailStage(work.stage_id, "numeric", "not finite");
  const Claim again =
      work.store.ClaimStage(work.run_id, kStage, work.environment, {.retake_failed = true});
  ASSERT_EQ(again.outcome, Outcome::kClaimed);
  work.store.KeepPart(again.id, SomePart(2));
  ExpectParts(work.store, again.id, {1, 2});
}

TEST(Parts, AreRefusedWithoutTheClaim) {
  const StoreFolder folder;
  Working work(folder);
  ASSERT_TRUE(work.store.KeepPart(work.stage_id, SomePart(1)));
  Database database(folder.path(), Database::Access::kWrite, std::chrono::seconds(5));
  database.Run("UPDATE stages SET process = 'someone else'");
  EXPECT_FALSE(work.store.KeepPart(work.stage_id, SomePart(2)));
  ExpectParts(work.store, work.stage_id, {1});
}

TEST(Parts, AreRefusedOnceTheWorkIsDoneOrFailed) {
  const StoreFolder folder;
  Working work(folder);
  work.store.FailStage(work.stage_id, "data", "gone");
  EXPECT_FALSE(work.store.KeepPart(work.stage_id, SomePart(1)));
  work.store.ClaimStage(work.run_id, kStage, work.environment, {.retake_failed = true});
  ASSERT_TRUE(work.store.FinishStage(work.stage_id, {}));
  EXPECT_FALSE(work.store.KeepPart(work.stage_id, SomePart(1)));
  ExpectParts(work.store, work.stage_id, {});
}

TEST(Parts, SurviveAKilledProcessAndServeTheNext) {
  const StoreFolder folder;
  int64_t environment = 0, run_id = 0;
  {
    ResultsStore store = folder.Open();
    environment = StoreFolder::Fill(store, {"a"});
    run_id = store.ClaimRun("a", environment).id;
  }
  const int status = RunInChild([&] {
    ResultsStore store = folder.Open();
    const Claim stage = store.ClaimStage(run_id, kStage, environment);
    store.KeepPart(stage.id, SomePart(1));
    store.KeepPart(stage.id, SomePart(2));
    // A third one is under way when the process dies.
    Database database(folder.path(), Database::Access::kWrite, std::chrono::seconds(5));
    const Transaction transaction(database);
    database.Insert("stage_parts", {{"stage_id", stage.id},
                                    {"sequence", 3},
                                    {"protocol", ""},
                                    {"task", ""},
                                    {"name", "half"},
                                    {"data", Blob{"half"}}});
    ::raise(SIGKILL);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  ResultsStore store = folder.Open();
  const Claim claim = store.ClaimStage(run_id, kStage, environment);
  ASSERT_EQ(claim.outcome, Outcome::kClaimed);
  EXPECT_TRUE(claim.took_over);
  ExpectParts(store, claim.id, {1, 2});
  ASSERT_TRUE(store.KeepPart(claim.id, SomePart(3)));
  ExpectParts(store, claim.id, {1, 2, 3});
  ASSERT_TRUE(store.FinishStage(claim.id, {}));
  ExpectParts(store, claim.id, {});
}

TEST(Parts, OfAProcessKilledAtAnyMomentAreWhole) {
  // The child keeps parts until it is killed; each kept one has both of its arrays.
  const StoreFolder folder;
  int64_t environment = 0, run_id = 0;
  {
    ResultsStore store = folder.Open();
    environment = StoreFolder::Fill(store, {"a"});
    run_id = store.ClaimRun("a", environment).id;
  }
  size_t kept = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    const pid_t child = ::fork();
    if (child == 0) {
      ResultsStore store = folder.Open();
      const Claim stage = store.ClaimStage(run_id, kStage, environment);
      for (size_t i = store.PartsOfStage(stage.id).size();; ++i) {
        store.KeepPart(stage.id, SomePart(static_cast<double>(i)));
      }
    }
    ::usleep(static_cast<useconds_t>(60'000 + 7'000 * attempt));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const ResultsStore store = ResultsStore::Open(folder.path(), OpenMode::kRead);
    const auto stage = store.FindStage(kStage.key);
    if (!stage) continue;  // killed before it began
    const size_t now = store.PartsOfStage(stage->id).size();
    EXPECT_GE(now, kept);
    kept = now;
    std::vector<double> firsts;
    for (size_t i = 0; i < now; ++i) firsts.push_back(static_cast<double>(i));
    ExpectParts(store, stage->id, firsts);
  }
}

}  // namespace
}  // namespace condense
