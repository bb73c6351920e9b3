#include "results/schema.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "unit/results/fixture.h"

namespace condense {
namespace {

Database Raw(const StoreFolder& folder) {
  return Database(folder.path(), Database::Access::kCreate, std::chrono::seconds(5));
}

std::string OpenError(const std::filesystem::path& path, OpenMode mode) {
  try {
    ResultsStore::Open(path, mode);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

#define EXPECT_SAYS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "message: " << (text)

TEST(Schema, ReleasedMigrationsAreNotEdited) {
  // A migration that is in use somewhere must stay as it is: add a new one instead.
  const std::vector<std::string> released = {
      "afaf9e9b81e6e7af6ceac6b4c9b35ea9487a302a05847d9d15a65f10167de153",
      "64be8470890690b5d7bcc4ed33e5a07278e3f9f86e6a3c8ebb8dd41f7ff27d99",
      "5c42131c778fae533fa0dc0f59bce55261862cb1a44d81e0b7c0a84981874a5a",
      "5ca15fd7756289db0d11e1e305aaa3474d3824dfb75f225753f74ba4aae1f5c6",
  };
  const std::vector<Migration>& migrations = AllMigrations();
  ASSERT_EQ(migrations.size(), released.size());
  for (size_t i = 0; i < released.size(); ++i) {
    EXPECT_EQ(migrations[i].version, static_cast<int>(i) + 1);
    EXPECT_EQ(Sha256Hex(migrations[i].sql), released[i]);
  }
}

TEST(Schema, MigratesVersion1AndKeepsItsRows) {
  const StoreFolder folder;
  {
    Database database = Raw(folder);
    Migrate(database, {AllMigrations().front()});
    database.Insert("protocols", {{"id", "p"}, {"params", "{}"}, {"sha256", "x"}});
  }
  std::vector<Migration> longer = {AllMigrations().front()};
  longer.push_back({2, "ALTER TABLE protocols ADD COLUMN note TEXT NOT NULL DEFAULT 'none';"});
  longer.push_back({3, "UPDATE protocols SET note = 'third' WHERE id = 'p';"});
  Database database = Raw(folder);
  Migrate(database, longer);
  EXPECT_EQ(database.Integer("PRAGMA user_version"), 3);
  EXPECT_EQ(database.Integer("SELECT count(*) FROM protocols WHERE note = 'third'"), 1);
  Migrate(database, longer);  // nothing left to do
  EXPECT_EQ(database.Integer("PRAGMA user_version"), 3);
}

// What the program of version 1 left behind: a finished stage with a metric and samples.
void WriteVersion1(const StoreFolder& folder) {
  {
    ResultsStore store = folder.Open();
    const int64_t environment = StoreFolder::Fill(store, {"a"});
    const Claim run = store.ClaimRun("a", environment);
    const Claim stage = store.ClaimStage(run.id, {"s", "evaluate", ""}, environment);
    store.FinishStage(
        stage.id,
        {.metrics = {Perplexity(5.12)},
         .samples = {{"bundled-256", "", "window_nll", {std::vector<double>{2.5, 2.75}, 1}}},
         .layers = {{.layer = 3, .qk_widths = "12", .vo_widths = "8", .mlp_widths = "64"}}});
    store.FinishRun(run.id);
  }
  Database database = Raw(folder);
  database.Script(
      "DROP TABLE cell_axes; DROP TABLE stage_parts; ALTER TABLE layers DROP COLUMN ranks; ALTER TABLE layers DROP "
      "COLUMN kv_heads; ALTER TABLE layers DROP COLUMN heads; PRAGMA user_version = 1;");
  std::vector<std::string> tables, expected;
  const auto list = [](Database& from, std::vector<std::string>& names) {
    from.ForEach(
        "SELECT name || sql AS text FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name", {},
        [&](const SqlRow& row) { names.push_back(row.Text("text")); });
  };
  list(database, tables);
  const StoreFolder other;
  Database fresh = Raw(other);
  Migrate(fresh, {AllMigrations().front()});
  list(fresh, expected);
  ASSERT_EQ(tables, expected);
}

void ExpectItsResults(const ResultsStore& store) {
  const std::vector<MetricRecord> metrics = store.MetricsOfRun(store.FindRun("a")->id);
  ASSERT_EQ(metrics.size(), 1u);
  EXPECT_EQ(metrics[0].value, 5.12);
  const SampleArray losses{std::vector<double>{2.5, 2.75}, 1};
  EXPECT_EQ(store.FindSamples("s", "bundled-256", "", "window_nll"), losses);
  EXPECT_TRUE(store.PartsOfStage(store.FindStage("s")->id).empty());
  const std::vector<LayerRecord> layers = store.DescribeCell("a").layers;
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].mlp_widths, "64");
  EXPECT_EQ(layers[0].heads, std::nullopt);
  EXPECT_EQ(layers[0].ranks, "{}");
}

TEST(Schema, ReadsVersion1AsItIs) {
  const StoreFolder folder;
  WriteVersion1(folder);
  ExpectItsResults(ResultsStore::Open(folder.path(), OpenMode::kRead));
  Database database = Raw(folder);
  EXPECT_EQ(database.Integer("PRAGMA user_version"), 1);
}

TEST(Schema, BringsVersion1UpToDateForWriting) {
  const StoreFolder folder;
  WriteVersion1(folder);
  {
    ResultsStore store = folder.Open();
    ExpectItsResults(store);
    const int64_t environment = store.RegisterEnvironment(DescribeMachine());
    const Claim stage =
        store.ClaimStage(store.FindRun("a")->id, {"next", "evaluate", ""}, environment);
    EXPECT_TRUE(store.KeepPart(stage.id, {{"p", "t", "n", {std::vector<double>{1}, 1}}}));
    EXPECT_EQ(store.PartsOfStage(stage.id).size(), 1u);
  }
  Database database = Raw(folder);
  EXPECT_EQ(database.Integer("PRAGMA user_version"), AllMigrations().back().version);
}

TEST(Schema, AnEmptyFileHoldsNothingToRead) {
  const StoreFolder folder;
  WriteFileAtomically(folder.path(), "");
  EXPECT_SAYS(OpenError(folder.path(), OpenMode::kRead), "holds no results yet");
}

TEST(Schema, AFailedMigrationChangesNothing) {
  const StoreFolder folder;
  Database database = Raw(folder);
  Migrate(database);
  const int known = AllMigrations().back().version;
  std::vector<Migration> longer = AllMigrations();
  longer.push_back(
      {known + 1, "CREATE TABLE half (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);"});
  EXPECT_THROW(Migrate(database, longer), DataError);
  EXPECT_EQ(database.Integer("PRAGMA user_version"), known);
  EXPECT_EQ(database.Integer("SELECT count(*) FROM sqlite_master WHERE name = 'half'"), 0);
}

TEST(Schema, RefusesANewerDatabaseAndLeavesItAlone) {
  const StoreFolder folder;
  folder.Open();
  {
    Database database = Raw(folder);
    database.Script("PRAGMA user_version = 99");
  }
  for (const OpenMode mode : {OpenMode::kRead, OpenMode::kWrite}) {
    const std::string message = OpenError(folder.path(), mode);
    EXPECT_SAYS(message, folder.path().string());
    EXPECT_SAYS(message, "version 99");
    EXPECT_SAYS(message, "newer program");
  }
  Database database = Raw(folder);
  EXPECT_EQ(database.Integer("PRAGMA user_version"), 99);
}

TEST(Schema, RefusesOtherFiles) {
  const StoreFolder folder;
  WriteFileAtomically(folder.path(), "models: [llama2-mini]\n");
  EXPECT_SAYS(OpenError(folder.path(), OpenMode::kWrite), "is not a results database");
  EXPECT_EQ(ReadFile(folder.path()), "models: [llama2-mini]\n");

  WriteFileAtomically(folder.path(), std::string("SQLite format 3\0", 16) + std::string(500, 'x'));
  EXPECT_SAYS(OpenError(folder.path(), OpenMode::kWrite), "is not a results database");

  std::filesystem::remove(folder.path());
  {
    Database database = Raw(folder);
    database.Script("CREATE TABLE other (x INTEGER)");
  }
  EXPECT_SAYS(OpenError(folder.path(), OpenMode::kWrite), "another program");

  EXPECT_SAYS(OpenError(folder.folder(), OpenMode::kWrite), "is a folder");
  EXPECT_SAYS(OpenError(folder.folder() / "none.sqlite", OpenMode::kRead),
              "run an experiment first");
  EXPECT_FALSE(std::filesystem::exists(folder.folder() / "none.sqlite"));
}

TEST(Schema, RefusesADamagedDatabase) {
  const StoreFolder folder;
  {
    ResultsStore store = folder.Open();
    StoreFolder::Fill(store, {"a"});
  }
  std::string bytes = ReadFile(folder.path());
  std::fill(bytes.begin() + 100, bytes.end(), '\x5a');
  WriteFileAtomically(folder.path(), bytes);
  EXPECT_SAYS(OpenError(folder.path(), OpenMode::kWrite), "damaged");
}

}  // namespace
}  // namespace condense
