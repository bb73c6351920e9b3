#include "results/results_store.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "results/database.h"
#include "unit/results/fixture.h"

namespace condense {
namespace {

using Outcome = Claim::Outcome;

TEST(ResultsStore, GivesBackEveryDoubleExactly) {
  const StoreFolder folder;
  const std::vector<double> values = {0.1,
                                      1.0 / 3.0,
                                      5.123456789012345,
                                      42.0,
                                      std::nextafter(1.0, 2.0),
                                      std::numeric_limits<double>::max(),
                                      std::numeric_limits<double>::denorm_min(),
                                      std::numeric_limits<double>::infinity()};
  {
    ResultsStore store = folder.Open();
    const int64_t environment = StoreFolder::Fill(store, {"a"});
    const Claim run = store.ClaimRun("a", environment);
    const Claim stage = store.ClaimStage(run.id, {"s", "evaluate", "evaluate"}, environment);
    StageResult result;
    for (const double value : values) {
      MetricRecord metric = Perplexity(value);
      metric.task = std::to_string(result.metrics.size());
      metric.standard_error = value / 7;
      result.metrics.push_back(metric);
    }
    ASSERT_TRUE(store.FinishStage(stage.id, result));
  }
  const ResultsStore store = ResultsStore::Open(folder.path(), OpenMode::kRead);
  const std::vector<MetricRecord> read = store.MetricsOfRun(store.FindRun("a")->id);
  ASSERT_EQ(read.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(read[i].value, values[i]);
    EXPECT_EQ(read[i].standard_error, values[i] / 7);
  }
}

TEST(ResultsStore, RefusesAMetricThatIsNotANumber) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  const int64_t environment = StoreFolder::Fill(store, {"a"});
  const Claim run = store.ClaimRun("a", environment);
  const Claim stage = store.ClaimStage(run.id, {"s", "evaluate", ""}, environment);
  EXPECT_THROW(store.FinishStage(stage.id, {.metrics = {Perplexity(std::nan(""))}}), NumericError);
  EXPECT_EQ(store.FindStage("s")->state.status, WorkStatus::kRunning);
}

TEST(ResultsStore, OfAMetricThatTwoStagesStoreTheLaterCounts) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  const int64_t environment = StoreFolder::Fill(store, {"a"});
  const Claim run = store.ClaimRun("a", environment);
  const auto finish = [&](const std::string& key, std::vector<MetricRecord> metrics) {
    const Claim stage = store.ClaimStage(run.id, {key, key, key}, environment);
    store.FinishStage(stage.id, {.metrics = std::move(metrics)});
  };
  MetricRecord other = Perplexity(3);
  other.task = "t";
  finish("compress", {Perplexity(1), other});
  finish("recover", {Perplexity(2)});
  const std::vector<MetricRecord> metrics = store.MetricsOfRun(run.id);
  ASSERT_EQ(metrics.size(), 2u);
  EXPECT_EQ(metrics[0].value, 3);
  EXPECT_EQ(metrics[1].value, 2);
  EXPECT_EQ(metrics[1].stage_key, "recover");
}

StageResult FullResult() {
  StageResult result;
  result.seconds = 12.5;
  result.peak_rss_bytes = 7'000'000'000;
  result.artefact = "artefacts/abc";
  result.artefact_sha256 = "d1";
  MetricRecord metric = Perplexity(17.25);
  metric.count = 12;
  metric.unit = "1";
  metric.basis = "ids-digest";
  result.metrics = {metric};
  result.samples = {{"bundled-256", "", "window_nll", {std::vector<double>{2.5, 2.75}, 1}}};
  LayerRecord layer;
  layer.layer = 3;
  layer.qk_widths = "48,44";
  layer.vo_widths = "48";
  layer.mlp_widths = "152";
  layer.kept_sha256 = "k";
  layer.condition = 1e7;
  layer.relative_error = 0.015;
  layer.allocation = R"({"mlp": 0.21, "qk": 0.2, "vo": 0.2})";
  result.layers = {layer};
  return result;
}

TEST(ResultsStore, DescribesACellWithEverythingThatLedToIt) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  StoreFolder::Fill(store, {});
  EnvironmentRecord machine = DescribeMachine();
  machine.git_revision = "0123abc";
  machine.git_dirty = true;
  machine.threads = 2;
  const int64_t environment = store.RegisterEnvironment(machine);
  EXPECT_EQ(store.RegisterEnvironment(machine), environment);
  ExperimentCell cell{
      SomeRun("abc123"),
      "MoDeGPT",
      "experiments/table1.yaml:12",
      {{"recover", "rank 8"}},
      {{"weights", "model.safetensors", "w1", 1234}, {"tokenizer", "t.json", "t1", {}}}};
  const int64_t table2 = store.RegisterExperiment(SomeExperiment("table2"), {cell});
  EXPECT_EQ(store.CellsOfExperiment(table2).at(0).axes, cell.axes);
  const Claim run = store.ClaimRun("abc123", environment);
  const Claim stage = store.ClaimStage(run.id, {"key", "compress", "compress"}, environment);
  ASSERT_TRUE(store.FinishStage(stage.id, FullResult()));
  store.FinishRun(run.id);

  const CellDetail detail = store.DescribeCell("abc1");
  EXPECT_EQ(detail.run.state.status, WorkStatus::kDone);
  EXPECT_EQ(detail.run.nominal_ratio, 0.2);
  EXPECT_EQ(detail.run.seed, 42);
  ASSERT_EQ(detail.experiments.size(), 1u);
  EXPECT_EQ(detail.experiments[0].origin, "experiments/table1.yaml:12");
  EXPECT_EQ(detail.experiments[0].experiment.spec, "spec of table2");
  EXPECT_EQ(detail.experiments[0].axes, cell.axes);
  ASSERT_EQ(detail.inputs.size(), 2u);
  EXPECT_EQ(detail.inputs[1].sha256, "w1");
  EXPECT_EQ(detail.inputs[1].bytes, 1234);
  ASSERT_EQ(detail.environments.size(), 1u);
  EXPECT_EQ(detail.environments[0].git_revision, "0123abc");
  EXPECT_TRUE(detail.environments[0].git_dirty);
  ASSERT_EQ(detail.stages.size(), 1u);
  EXPECT_EQ(detail.stages[0].peak_rss_bytes, 7'000'000'000);
  EXPECT_FALSE(detail.stages[0].cached);
  ASSERT_EQ(detail.protocols.size(), 1u);
  EXPECT_EQ(detail.protocols[0].params, R"({"window": 256})");
  ASSERT_EQ(detail.metrics.size(), 1u);
  EXPECT_EQ(detail.metrics[0].basis, "ids-digest");
  EXPECT_EQ(detail.metrics[0].stage_key, "key");
  ASSERT_EQ(detail.layers.size(), 1u);
  EXPECT_EQ(detail.layers[0].qk_widths, "48,44");
  EXPECT_EQ(detail.layers[0].relative_error, 0.015);
  EXPECT_FALSE(detail.layers[0].damping.has_value());
  ASSERT_EQ(detail.samples.size(), 1u);
  const SampleArray expected{std::vector<double>{2.5, 2.75}, 1};
  EXPECT_EQ(store.FindSamples("key", "bundled-256", "", "window_nll"), expected);
  EXPECT_EQ(store.FindSamples("key", "bundled-256", "", "other"), std::nullopt);
}

TEST(ResultsStore, AsksForMoreOfAnAmbiguousFingerprint) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  StoreFolder::Fill(store, {"abc1", "abc2", "a%c3"});
  EXPECT_EQ(store.DescribeCell("abc2").run.fingerprint, "abc2");
  EXPECT_EQ(store.DescribeCell("a%").run.fingerprint, "a%c3");
  EXPECT_THROW(store.DescribeCell("abc"), ConfigError);
  EXPECT_THROW(store.DescribeCell("zzz"), ConfigError);
}

TEST(ResultsStore, SharesACellBetweenExperiments) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  const int64_t first =
      store.RegisterExperiment(SomeExperiment("one"), {{SomeRun("a")}, {SomeRun("b")}});
  const int64_t second =
      store.RegisterExperiment(SomeExperiment("two"), {{SomeRun("c")}, {SomeRun("a"), "A"}});
  const auto cells = store.CellsOfExperiment(second);
  ASSERT_EQ(cells.size(), 2u);
  EXPECT_EQ(cells[0].run.fingerprint, "c");  // the order of the experiment
  EXPECT_EQ(cells[1].label, "A");
  EXPECT_EQ(cells[1].run.id, store.CellsOfExperiment(first)[0].run.id);
}

TEST(ResultsStore, FindsTheExperimentThatWasRegisteredLast) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  ExperimentRecord old_spec = SomeExperiment(), new_spec = SomeExperiment();
  new_spec.spec = "changed";
  const int64_t old_id = store.RegisterExperiment(old_spec, {{SomeRun("a")}});
  const int64_t new_id = store.RegisterExperiment(new_spec, {{SomeRun("b")}});
  EXPECT_NE(old_id, new_id);
  EXPECT_EQ(store.FindExperiment("table1", "bundled")->spec, "changed");
  EXPECT_EQ(store.RegisterExperiment(old_spec, {{SomeRun("a")}}), old_id);
  EXPECT_EQ(store.FindExperiment("table1", "bundled")->id, old_id);
  EXPECT_EQ(store.FindExperiment("table1", "paper"), std::nullopt);
  EXPECT_EQ(store.ListExperiments().size(), 2u);
}

TEST(ResultsStore, RefusesAProtocolWhoseParametersChanged) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  store.RegisterProtocol("wikitext2-2048", R"({"window":2048})");
  store.RegisterProtocol("wikitext2-2048", R"({"window":2048})");
  try {
    store.RegisterProtocol("wikitext2-2048", R"({"window":1024})");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("wikitext2-2048"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find(R"({"window":1024})"), std::string::npos);
  }
}

TEST(ResultsStore, EnforcesForeignKeysAndTypes) {
  const StoreFolder folder;
  folder.Open();
  Database database(folder.path(), Database::Access::kWrite, std::chrono::seconds(1));
  EXPECT_THROW(
      database.Insert("inputs", {{"run_id", 77}, {"kind", "k"}, {"name", "n"}, {"sha256", "s"}}),
      DataError);
  EXPECT_THROW(database.Insert("protocols", {{"id", "p"}, {"params", "not json"}, {"sha256", "s"}}),
               DataError);
  EXPECT_EQ(database.Integer("PRAGMA foreign_key_check"), std::nullopt);
}

TEST(ResultsStore, AStageIsSharedByTheRunsThatNeedIt) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  const int64_t environment = StoreFolder::Fill(store, {"a", "b"});
  const StagePlan calibrate{"cal", "calibrate", "calibrate"};
  const Claim a = store.ClaimRun("a", environment), b = store.ClaimRun("b", environment);
  const Claim first = store.ClaimStage(a.id, calibrate, environment);
  EXPECT_EQ(first.outcome, Outcome::kClaimed);
  ASSERT_TRUE(store.FinishStage(first.id, {.seconds = 3, .metrics = {Perplexity(9)}}));
  EXPECT_EQ(store.ClaimStage(b.id, calibrate, environment).outcome, Outcome::kDone);
  EXPECT_EQ(store.ClaimStage(a.id, calibrate, environment).outcome, Outcome::kDone);
  EXPECT_FALSE(store.StagesOfRun(a.id)[0].cached);
  EXPECT_TRUE(store.StagesOfRun(b.id)[0].cached);
  EXPECT_EQ(store.MetricsOfRun(b.id).size(), 1u);
}

TEST(ResultsStore, HashesAFileAgainOnlyWhenItChanged) {
  const StoreFolder folder;
  ResultsStore store = folder.Open();
  const auto file = folder.folder() / "weights.bin";
  WriteFileAtomically(file, "weights");
  EXPECT_EQ(store.FileDigest(file), Sha256Hex("weights"));
  {
    // A digest that only the cache can know shows that the file is not read again.
    Database database(folder.path(), Database::Access::kWrite, std::chrono::seconds(1));
    database.Run("UPDATE file_digests SET sha256 = 'from the cache'");
  }
  EXPECT_EQ(store.FileDigest(folder.folder() / "." / "weights.bin"), "from the cache");
  WriteFileAtomically(file, "WEIGHTS");
  std::filesystem::last_write_time(
      file, std::filesystem::last_write_time(file) + std::chrono::seconds(2));
  EXPECT_EQ(store.FileDigest(file), Sha256Hex("WEIGHTS"));
  EXPECT_THROW(store.FileDigest(folder.folder() / "none"), DataError);
}

}  // namespace
}  // namespace condense
