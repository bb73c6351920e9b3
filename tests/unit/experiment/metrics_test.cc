// The catalogue against what an experiment with every evaluator stores.
#include "stats/metric.h"

#include <gmock/gmock.h>

#include <set>

#include "base/sha256.h"
#include "experiment/run/sweep.h"
#include "experiment/stages/evaluator.h"
#include "report/tables/render.h"
#include "support/tiny_configs.h"

namespace condense {
namespace {

using testing::HasSubstr;
using testing::IsSupersetOf;

constexpr const char* kEverything = R"(title: All evaluators
models: [llama3-mini]
methods: [dense, svd_llm]
ratios: [0.2]
calibration: [tiny-8x64]
perplexity: [tiny-64]
agreement: [tiny-64]
zero_shot: {tasks: [bundle_facts, bundle_coreference], limit: 4}
arithmetic: [64]
cost: cold
table: {cell: perplexity}
)";

TEST(Metrics, OfEveryEvaluatorAreInTheCatalogue) {
  const TinyConfigs configs;
  const ExperimentSpec spec =
      ReadExperiment({configs.Experiment("everything", kEverything), "", {}});
  for (const std::string& key : EvaluatorKeys()) EXPECT_THAT(kEverything, HasSubstr(key + ": "));
  const std::filesystem::path results = configs.folder() / "results";
  ResultsStore store = ResultsStore::Open(results / "results.sqlite", OpenMode::kWrite);
  InputResolver inputs({{}, DataRoots::Default({})}, [](const std::filesystem::path& file) {
    return Sha256Hex(file.filename().string());
  });
  const ExperimentPlan plan = PlanExperiment(spec, inputs);
  const int64_t experiment = RegisterPlan(spec, plan, store);
  EXPECT_EQ(RunSweep(spec, plan, inputs, store, {.results = results, .threads = 1}).failed, 0);

  std::set<std::string> stored;
  for (const ExperimentCell& cell : store.CellsOfExperiment(experiment)) {
    for (const MetricRecord& record : store.MetricsOfRun(cell.run.id)) {
      const auto metric = FindMetric(record.metric);
      ASSERT_TRUE(metric) << record.metric;
      EXPECT_EQ(metric->unit, record.unit) << record.metric;
      EXPECT_FALSE(metric->label.empty()) << record.metric;
      stored.insert(record.metric);
    }
  }
  EXPECT_THAT(stored, IsSupersetOf({"perplexity", "nll", "kl_mean", "top1_agree", "vocabulary_cut",
                                    "acc", "acc_norm", "macs", "peak_bytes", "solve-peak_bytes",
                                    "solve-seconds", "kept-params", "tokens"}));
}

TEST(Metrics, OfTheWholeCatalogueHaveALabelAKnownUnitAndASideThatFitsIt) {
  const std::set<std::string> units = {"fraction", "count", "bytes", "s", "nats", "bits", ""};
  for (const std::string& name : MetricNames()) {
    const Metric metric = FindMetric(name).value();
    EXPECT_FALSE(metric.label.empty()) << name;
    EXPECT_TRUE(units.contains(metric.unit)) << name << " " << metric.unit;
    if (metric.unit == "s" || metric.unit == "bytes") {
      EXPECT_EQ(metric.better, Better::kLower) << name;
    }
    // What is printed in percent, without the sign, says so in the notes and has a better side.
    if (metric.format.style == NumberFormat::Style::kPercent) {
      EXPECT_EQ(metric.better, Better::kHigher) << name;
    }
  }
}

TEST(Metrics, SharesOfAgreementArePrintedInPercentAndTheLargestIsBest) {
  for (const char* name : {"top1_agree", "top5_overlap"}) {
    std::vector<Measurement> cells;
    for (const char* method : {"flap", "modegpt"}) {
      cells.push_back({.id = method, .keys = {{"method", method}}, .method = method});
      const double value = cells.size() == 1 ? 0.75 : 0.875;
      cells.back().values = {{.metric = name, .protocol = "agree-tiny-64", .value = value}};
    }
    TableSpec spec;
    spec.rows = {"method"};
    spec.cells = {{{name}}};
    const std::string text = ToText(BuildTable(spec, cells), TextStyle::kPlain);
    EXPECT_THAT(text, HasSubstr("75.00\n")) << text;
    EXPECT_THAT(text, HasSubstr("87.50*\n")) << text;
    EXPECT_THAT(text, HasSubstr("in percent, higher is better"));
  }
}

}  // namespace
}  // namespace condense
