// Read-only folders, a full disk, a database locked by others. Each in a process of its own,
// because root may write everywhere and limits cannot be taken back.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/error.h"
#include "results/database.h"
#include "unit/results/fixture.h"

namespace condense {
namespace {

constexpr int kNobody = 65534;

// As an ordinary user: exits with 0 if `action` throws a DataError that contains `part`.
int ExpectDataError(const std::string& part, const std::function<void()>& action) {
  return RunInChild([&] {
    if (::getuid() == 0 && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) ::_exit(3);
    try {
      action();
    } catch (const DataError& error) {
      if (std::string(error.what()).find(part) != std::string::npos) ::_exit(0);
      ::dprintf(2, "message: %s\n", error.what());
      ::_exit(2);
    }
    ::_exit(1);
  });
}

TEST(Unwritable, AFolderThatMayNotBeWrittenIsNamed) {
  const StoreFolder folder;
  folder.Open();
  ::chmod(folder.folder().c_str(), 0555);
  EXPECT_EQ(ExpectDataError("not writable", [&] { folder.Open(); }), 0);
  EXPECT_EQ(ExpectDataError(
                "not writable",
                [&] { ResultsStore::Open(folder.folder() / "new.sqlite", OpenMode::kWrite); }),
            0);
  ::chmod(folder.folder().c_str(), 0755);
}

TEST(Unwritable, AFileThatMayNotBeWrittenIsNamed) {
  const StoreFolder folder;
  folder.Open();
  ::chmod(folder.folder().c_str(), 0777);
  ::chmod(folder.path().c_str(), 0444);
  EXPECT_EQ(ExpectDataError("results.sqlite: is read-only", [&] { folder.Open(); }), 0);
}

TEST(Unwritable, AReadOnlyFolderCanBeRead) {
  const StoreFolder folder;
  {
    ResultsStore store = folder.Open();
    StoreFolder::Fill(store, {"a"});
  }
  ::chmod(folder.path().c_str(), 0444);
  ::chmod(folder.folder().c_str(), 0555);
  const int status = RunInChild([&] {
    if (::getuid() == 0 && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) ::_exit(3);
    const ResultsStore store = ResultsStore::Open(folder.path(), OpenMode::kRead);
    if (!store.FindRun("a").has_value()) ::_exit(1);
  });
  EXPECT_EQ(status, 0);
  ::chmod(folder.folder().c_str(), 0755);
}

TEST(Unwritable, AFullDiskLosesOnlyTheStageThatDidNotFit) {
  const StoreFolder folder;
  int64_t environment = 0;
  {
    ResultsStore store = folder.Open();
    environment = StoreFolder::Fill(store, {"a", "b"});
  }
  const int status = RunInChild([&] {
    ResultsStore store = folder.Open();
    const Claim run = store.ClaimRun("a", environment);
    const Claim small = store.ClaimStage(run.id, {"small", "evaluate", ""}, environment);
    if (!store.FinishStage(small.id, {.metrics = {Perplexity(1)}})) ::_exit(4);
    const Claim big = store.ClaimStage(run.id, {"big", "evaluate", ""}, environment);
    // A limit on the size of files stands for a disk that is full.
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{400'000, 400'000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(5);
    std::vector<int64_t> noise(200'000);
    uint64_t state = 1;
    for (int64_t& value : noise) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      value = static_cast<int64_t>(state);
    }
    try {
      store.FinishStage(big.id, {.samples = {{"", "", "noise", {noise, 1}}}});
    } catch (const DataError& error) {
      const bool says = std::string(error.what()).find("free some space") != std::string::npos;
      if (!says) ::dprintf(2, "message: %s\n", error.what());
      ::_exit(says ? 0 : 2);
    }
    ::_exit(1);
  });
  EXPECT_EQ(status, 0);
  ResultsStore store = folder.Open();
  EXPECT_EQ(store.FindStage("small")->state.status, WorkStatus::kDone);
  EXPECT_EQ(store.ClaimStage(store.FindRun("a")->id, {"big", "evaluate", ""}, environment).outcome,
            Claim::Outcome::kClaimed);
}

TEST(Unwritable, ALockedDatabaseIsReportedAfterTheTimeout) {
  const StoreFolder folder;
  folder.Open();
  Database other(folder.path(), Database::Access::kWrite, std::chrono::seconds(1));
  const Transaction transaction(other);
  ResultsStore store = folder.Open({.busy_timeout = std::chrono::milliseconds(100)});
  try {
    store.RegisterProtocol("p", "{}");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("another process"), std::string::npos);
  }
}

}  // namespace
}  // namespace condense
