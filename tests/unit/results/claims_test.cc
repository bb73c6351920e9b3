// What several processes may do to one database, and what being killed may not.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "base/error.h"
#include "base/system.h"
#include "results/database.h"
#include "results/process.h"
#include "unit/results/fixture.h"

namespace condense {
namespace {

using Outcome = Claim::Outcome;

StagePlan Stage(int number) { return {"stage " + std::to_string(number), "evaluate", ""}; }

std::vector<std::string> Names(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back("cell " + std::to_string(1000 + i));
  return names;
}

TEST(Claims, FollowTheStatesOfAStage) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  const int64_t environment = StoreFolder::Fill(store, {"a"});
  EXPECT_EQ(store.FindRun("a")->state.status, WorkStatus::kPlanned);
  const Claim run = store.ClaimRun("a", environment);
  EXPECT_EQ(run.state.status, WorkStatus::kRunning);
  EXPECT_EQ(run.state.attempt, 1);
  EXPECT_EQ(run.state.owner->pid, ::getpid());
  EXPECT_EQ(store.ClaimRun("a", environment).state.attempt, 1);  // ours already

  const Claim stage = store.ClaimStage(run.id, Stage(1), environment);
  store.FailStage(stage.id, "numeric", "layer 3: not positive definite");
  store.FailRun(run.id, "numeric", "layer 3: not positive definite");
  EXPECT_EQ(store.FindRun("a")->state.error_class, "numeric");

  EXPECT_EQ(store.ClaimRun("a", environment).outcome, Outcome::kFailed);
  const Claim again = store.ClaimRun("a", environment, {.retake_failed = true});
  EXPECT_EQ(again.outcome, Outcome::kClaimed);
  EXPECT_EQ(again.state.attempt, 2);
  EXPECT_EQ(again.state.error_class, "");
  store.FinishRun(run.id);
  EXPECT_EQ(store.ClaimRun("a", environment, {.retake_failed = true}).outcome, Outcome::kDone);
  EXPECT_EQ(store.ClaimRun("a", environment, {.retake_done = true}).outcome, Outcome::kClaimed);
}

TEST(Claims, OfALivingProcessAreReported) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  const int64_t environment = StoreFolder::Fill(store, {"a"});
  const Claim run = store.ClaimRun("a", environment);
  const int status = RunInChild([&] {
    ResultsStore other = folder.Open();
    const Claim claim = other.ClaimRun("a", environment);
    if (claim.outcome != Outcome::kHeld) ::_exit(1);
    if (claim.state.owner->pid != ::getppid() || claim.state.owner->host != HostName()) ::_exit(2);
    if (other.MarkStale() != 0) ::_exit(3);
  });
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(store.ClaimRun("a", environment).outcome == Outcome::kClaimed);
}

TEST(Claims, OfAKilledProcessAreTakenOver) {
  const StoreFolder folder;
  int64_t environment = 0;
  {
    ResultsStore store = folder.Open();
    environment = StoreFolder::Fill(store, {"a", "b"});
  }
  RunInChild([&] {
    ResultsStore store = folder.Open();
    store.ClaimRun("a", environment);
    store.ClaimRun("b", environment);
    ::raise(SIGKILL);
  });
  ResultsStore store = folder.Open();
  EXPECT_EQ(store.FindRun("a")->state.status, WorkStatus::kRunning);
  const Claim claim = store.ClaimRun("a", environment);
  EXPECT_EQ(claim.outcome, Outcome::kClaimed);
  EXPECT_TRUE(claim.took_over);
  EXPECT_EQ(claim.state.attempt, 2);
  EXPECT_EQ(store.MarkStale(), 1);
  EXPECT_EQ(store.FindRun("b")->state.status, WorkStatus::kStale);
}

TEST(Claims, AreReleasedWhenTheStoreCloses) {
  const StoreFolder folder;
  {
    ResultsStore store = folder.Open();
    const int64_t environment = StoreFolder::Fill(store, {"a"});
    store.ClaimRun("a", environment);
  }
  EXPECT_EQ(folder.Open().FindRun("a")->state.status, WorkStatus::kPlanned);
}

TEST(Claims, KilledRepetitionKeepsTheOldResult) {
  const StoreFolder folder;
  int64_t environment = 0, run_id = 0;
  {
    ResultsStore store = folder.Open();
    environment = StoreFolder::Fill(store, {"a"});
    run_id = store.ClaimRun("a", environment).id;
    const Claim stage = store.ClaimStage(run_id, Stage(1), environment);
    ASSERT_TRUE(store.FinishStage(stage.id, {.metrics = {Perplexity(5.12)}}));
    store.FinishRun(run_id);
  }
  RunInChild([&] {
    ResultsStore store = folder.Open();
    store.ClaimStage(run_id, Stage(1), environment, {.retake_done = true});
    ::raise(SIGKILL);
  });
  ResultsStore store = folder.Open();
  EXPECT_EQ(store.ClaimStage(run_id, Stage(1), environment).outcome, Outcome::kDone);
  ASSERT_EQ(store.MetricsOfRun(run_id).size(), 1u);
  EXPECT_EQ(store.MetricsOfRun(run_id)[0].value, 5.12);
}

TEST(Claims, OfAnotherMachineAreTakenOverAfterSilence) {
  const StoreFolder folder;
  ResultsStore store = folder.Open({.stale_after = std::chrono::seconds(100)});
  const int64_t environment = StoreFolder::Fill(store, {"a"});
  Database database(folder.path(), Database::Access::kWrite, std::chrono::seconds(5));
  const auto pretend = [&](int64_t age) {
    database.Run(
        "UPDATE runs SET status = 'running', host = 'elsewhere.example', pid = 1, process = "
        "'1:1@x/y#1', heartbeat = unixepoch() - ?1",
        {age});
  };
  pretend(50);
  EXPECT_EQ(store.ClaimRun("a", environment).outcome, Outcome::kHeld);
  pretend(200);
  EXPECT_EQ(store.ClaimRun("a", environment).outcome, Outcome::kClaimed);
}

TEST(Claims, ALateResultOfADisplacedProcessIsNotRecorded) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  const int64_t environment = StoreFolder::Fill(store, {"a"});
  const Claim run = store.ClaimRun("a", environment);
  const Claim stage = store.ClaimStage(run.id, Stage(1), environment);
  Database database(folder.path(), Database::Access::kWrite, std::chrono::seconds(5));
  database.Run("UPDATE stages SET process = 'someone else'");
  EXPECT_FALSE(store.FinishStage(stage.id, {.metrics = {Perplexity(1)}}));
  EXPECT_TRUE(store.MetricsOfRun(run.id).empty());
}

TEST(Claims, BeatWhileTheyAreHeld) {
  const StoreFolder folder;
  ResultsStore store = folder.Open({.heartbeat_every = std::chrono::milliseconds(20)});
  const int64_t environment = StoreFolder::Fill(store, {"a"});
  store.ClaimRun("a", environment);
  Database database(folder.path(), Database::Access::kWrite, std::chrono::seconds(5));
  database.Run("UPDATE runs SET heartbeat = 1");
  for (int i = 0; i < 500 && store.FindRun("a")->state.heartbeat == 1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_GT(store.FindRun("a")->state.heartbeat, 1);
}

TEST(Process, IsDeadWhenItsPidBelongsToAnother) {
  Owner self = NewOwner();
  EXPECT_EQ(LifeOf(self), Life::kAlive);
  Owner reused = self;
  reused.process.replace(reused.process.find(':'), 1,
                         ":1");  // the same pid, started at another time
  EXPECT_EQ(LifeOf(reused), Life::kDead);
  Owner elsewhere = self;
  elsewhere.host = "elsewhere.example";
  EXPECT_EQ(LifeOf(elsewhere), Life::kUnknown);
  Owner container = self;
  container.process.replace(container.process.find("/pid"), 4, "/other");
  EXPECT_EQ(LifeOf(container), Life::kUnknown);
}

// Claims every cell it can get and finishes it, writing the number of each to `pipe`.
void WorkThrough(const StoreFolder& folder, const std::vector<std::string>& cells, int pipe) {
  ResultsStore store = folder.Open();
  const int64_t environment = store.RegisterEnvironment(DescribeMachine());
  for (int i = 0; i < static_cast<int>(cells.size()); ++i) {
    const Claim run = store.ClaimRun(cells[i], environment);
    if (run.outcome != Outcome::kClaimed) continue;
    const Claim stage = store.ClaimStage(run.id, Stage(i), environment);
    const SampleArray losses{std::vector<double>(2000, i + 0.5), 1};
    if (!store.FinishStage(stage.id, {.metrics = {Perplexity(i + 0.25)},
                                      .samples = {{"bundled-256", "", "nll", losses}}})) {
      ::_exit(5);
    }
    store.FinishRun(run.id);
    if (::write(pipe, &i, sizeof i) != sizeof i) ::_exit(6);
  }
}

std::vector<int> Drain(int pipe) {
  std::vector<int> numbers;
  for (int number; ::read(pipe, &number, sizeof number) == sizeof number;) {
    numbers.push_back(number);
  }
  return numbers;
}

TEST(Claims, TwoProcessesDivideTheWork) {
  const StoreFolder folder;
  const std::vector<std::string> cells = Names(40);
  {
    ResultsStore store = folder.Open();
    StoreFolder::Fill(store, cells);
  }
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    children.push_back(::fork());
    if (children.back() == 0) {
      ::close(ends[0]);
      try {
        WorkThrough(folder, cells, ends[1]);
      } catch (const std::exception& error) {
        ::dprintf(2, "child: %s\n", error.what());
        ::_exit(99);
      }
      ::_exit(0);
    }
  }
  ::close(ends[1]);
  std::vector<int> finished = Drain(ends[0]);
  ::close(ends[0]);
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  std::sort(finished.begin(), finished.end());
  ASSERT_EQ(finished.size(), cells.size());  // each exactly once
  for (int i = 0; i < 40; ++i) EXPECT_EQ(finished[i], i);
  const ResultsStore store = folder.Open();
  for (const std::string& cell : cells) EXPECT_EQ(store.FindRun(cell)->state.attempt, 1);
}

TEST(Claims, ProcessesMayCreateTheDatabaseTogether) {
  const StoreFolder folder;
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    children.push_back(::fork());
    if (children.back() == 0) {
      try {
        ResultsStore store = folder.Open();
        StoreFolder::Fill(store, {"a"});
      } catch (const std::exception& error) {
        ::dprintf(2, "child: %s\n", error.what());
        ::_exit(99);
      }
      ::_exit(0);
    }
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

TEST(Kill, LosesNothingThatWasFinished) {
  const StoreFolder folder;
  const std::vector<std::string> cells = Names(400);
  {
    ResultsStore store = folder.Open();
    StoreFolder::Fill(store, cells);
  }
  for (const int milliseconds : {60, 35, 90, 20}) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      WorkThrough(folder, cells, ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::vector<int> finished = Drain(ends[0]);
    ::close(ends[0]);
    const ResultsStore store = folder.Open();
    for (const int i : finished) {
      const RunRecord run = store.FindRun(cells[i]).value();
      ASSERT_EQ(run.state.status, WorkStatus::kDone);
      ASSERT_EQ(store.MetricsOfRun(run.id).at(0).value, i + 0.25);
      const SampleArray losses{std::vector<double>(2000, i + 0.5), 1};
      ASSERT_EQ(store.FindSamples(Stage(i).key, "bundled-256", "", "nll"), losses);
    }
    // A stage has a result whole or not at all.
    Database database(folder.path(), Database::Access::kWrite, std::chrono::seconds(5));
    EXPECT_EQ(
        database.Integer("SELECT count(*) FROM stages WHERE (status = 'done') <> (id IN (SELECT "
                         "stage_id FROM metrics)) OR (status = 'done') <> (id IN (SELECT stage_id "
                         "FROM samples))"),
        0);
  }
}

TEST(Kill, InsideATransactionLeavesNoTrace) {
  const StoreFolder folder;
  folder.Open();
  const int status = RunInChild([&] {
    Database database(folder.path(), Database::Access::kWrite, std::chrono::seconds(5));
    const Transaction transaction(database);
    database.Insert("protocols", {{"id", "half"}, {"params", "{}"}, {"sha256", "s"}});
    ::raise(SIGKILL);
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  ResultsStore store = folder.Open();
  store.RegisterProtocol("half", R"({"other": 1})");  // would be refused if the row had stayed
}

}  // namespace
}  // namespace condense
