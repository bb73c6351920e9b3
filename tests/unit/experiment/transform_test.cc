// A transform that this test registers goes through everything that an experiment does: plan, run,
// resume, report, with no other code that knows of it.
#include "experiment/stages/transform.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/sha256.h"
#include "experiment/run/status.h"
#include "experiment/run/sweep.h"
#include "experiment/tables.h"
#include "model/stored/checkpoint_model.h"
#include "report/measurements.h"
#include "report/tables/render.h"
#include "support/tiny_configs.h"

namespace condense {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace fs = std::filesystem;

int runs_of_transform = 0;

// Of a third of the step of `dtype`, because the bundled models are stored in bfloat16.
Tensor Rounded(const Tensor& tensor, DType dtype) {
  return (3 * tensor).to(dtype).to(tensor.scalar_type()) / 3;
}

const Metric& kLargestChange =
    RegisterMetric({.name = "largest_change", .label = "largest change of a weight"});

// Rounds the weights of every block to a smaller type.
class RoundWeights final : public Transform {
 public:
  struct Params {
    DType dtype = kBF16;
    bool dense = false;

    template <class V>
    void Fields(V&& field) {
      field("dtype", dtype, "what weights are rounded to");
      field("dense", dense, "whether the dense model is rounded too");
    }
  };
  explicit RoundWeights(Params params) : params_(params) {}

  bool ForDense() const override { return params_.dense; }
  StageResult Run(TransformSubject& subject) const override {
    ++runs_of_transform;
    const ModelSource& source = subject.source;
    const Embedding embedding = source.LoadEmbedding();
    subject.sink.PutEmbedding(embedding);
    double largest = 0;
    for (size_t i = 0; i < source.config().layers.size(); ++i) {
      Block block = source.LoadBlock(static_cast<int64_t>(i));
      block.ForEachTensor([&](const std::string&, Tensor& tensor) {
        if (!tensor.defined() || !tensor.is_floating_point()) return;
        const Tensor rounded = Rounded(tensor, params_.dtype);
        largest = std::max(largest, (rounded - tensor).abs().max().item<double>());
        tensor = rounded;
      });
      subject.sink.PutBlock(static_cast<int64_t>(i), std::move(block));
    }
    subject.sink.PutHead(LoadHeadFor(source, embedding));
    subject.sink.Finish(source.config());
    StageResult result;
    result.metrics.push_back(RecordOf(kLargestChange, largest, /*protocol=*/""));
    return result;
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(Transform, RoundWeights, "round_weights", /*version=*/1,
                  "Rounds the weights of every block.");

constexpr const char* kPlain = R"(title: Rounding
models: [llama3-mini]
methods: [dense, shortgpt]
ratios: [0.2]
calibration: [tiny-8x64]
perplexity: [tiny-64]
table: {rows: [method], columns: [ratio], cell: perplexity}
)";
constexpr const char* kRounded = R"(title: Rounding
models: [llama3-mini]
methods: [dense, shortgpt]
ratios: [0.2]
calibration: [tiny-8x64]
perplexity: [tiny-64]
round_weights: [none, bfloat16]
table: {rows: [method, round_weights], columns: [ratio], cell: perplexity, extra: [parameters]}
)";

class Transforms : public testing::Test {
 protected:
  ExperimentSpec Read(const std::string& yaml, std::vector<std::string> overrides = {}) const {
    return ReadExperiment({configs_.Experiment("e", yaml), "", std::move(overrides)});
  }
  static ExperimentPlan PlanOf(const ExperimentSpec& spec) {
    InputResolver inputs = Inputs();
    return PlanExperiment(spec, inputs);
  }
  static InputResolver Inputs() {
    return InputResolver({{}, DataRoots::Default({})},
                         [](const fs::path& file) { return Sha256Hex(file.filename().string()); });
  }
  static const PlannedCell& Cell(const ExperimentPlan& plan, const std::string& name) {
    const auto found = std::find_if(plan.cells.begin(), plan.cells.end(),
                                    [&](const PlannedCell& cell) { return cell.name == name; });
    if (found == plan.cells.end()) throw MakeError<DataError>("no cell {}", name);
    return *found;
  }
  static std::vector<std::string> Names(const ExperimentPlan& plan) {
    std::vector<std::string> names;
    for (const PlannedCell& cell : plan.cells) names.push_back(cell.name);
    return names;
  }
  static std::string StageNames(const PlannedCell& cell) {
    std::vector<std::string> names;
    for (const PlannedStage& stage : cell.stages) names.push_back(stage.Name());
    return Join(names, ", ");
  }
  ResultsStore Store() const {
    return ResultsStore::Open(results_ / "results.sqlite", OpenMode::kWrite);
  }
  // Cells that were computed; the experiment's id is left in `experiment_`.
  int Sweep(const ExperimentSpec& spec, ResultsStore& store) {
    InputResolver inputs = Inputs();
    const ExperimentPlan plan = PlanExperiment(spec, inputs);
    experiment_ = RegisterPlan(spec, plan, store);
    const SweepOutcome outcome =
        RunSweep(spec, plan, inputs, store, {.results = results_, .threads = 1});
    EXPECT_EQ(outcome.failed, 0);
    return outcome.computed;
  }
  fs::path Artefact(const PlannedCell& cell) const {
    return results_ / cell.models.back().Artefact();
  }

  TinyConfigs configs_;
  fs::path results_ = configs_.folder() / "results";
  int64_t experiment_ = 0;
};

TEST_F(Transforms, AreAnAxisOfThePlan) {
  const ExperimentPlan plan = PlanOf(Read(kRounded));
  EXPECT_THAT(Names(plan), ElementsAre("llama3-mini dense round_weights: none",
                                       "llama3-mini shortgpt 0.2 round_weights: none",
                                       "llama3-mini shortgpt 0.2 round_weights: bfloat16"));
  const PlannedCell &plain = plan.cells[1], &rounded = plan.cells[2];
  EXPECT_EQ(StageNames(plain), "calibrate, compress, evaluate tiny-64");
  EXPECT_EQ(StageNames(rounded), "calibrate, compress, round_weights, evaluate tiny-64");
  EXPECT_EQ(rounded.stages[0].key, plain.stages[0].key);
  EXPECT_EQ(rounded.stages[1].key, plain.stages[1].key);
  EXPECT_NE(rounded.stages[3].key, plain.stages[2].key);
  EXPECT_NE(rounded.fingerprint, plain.fingerprint);
}

TEST_F(Transforms, EnterAFingerprintOnlyWherePresent) {
  const ExperimentPlan without = PlanOf(Read(kPlain)), with = PlanOf(Read(kRounded));
  EXPECT_EQ(with.cells[0].fingerprint, without.cells[0].fingerprint);
  EXPECT_EQ(with.cells[1].fingerprint, without.cells[1].fingerprint);
  EXPECT_EQ(with.cells[1].canonical, without.cells[1].canonical);
  EXPECT_EQ(with.cells[2].canonical,
            without.cells[1].canonical.substr(0, without.cells[1].canonical.size() - 1) +
                R"(,"transforms":[{"use":"round_weights","version":1,)"
                R"("options":{"dtype":"bfloat16","dense":false}}]})");
}

TEST_F(Transforms, AMethodMayHaveItsOwnSettingAndAblationsChangeIt) {
  const ExperimentPlan plan =
      PlanOf(Read(kPlain, {"methods=[shortgpt, {use: random, round_weights: {dtype: float16}}]",
                           "ablations=[{name: coarse, methods: [random], set: "
                           "{round_weights.dtype: bfloat16}}]"}));
  EXPECT_THAT(Names(plan),
              ElementsAre("llama3-mini shortgpt 0.2 round_weights: none",
                          "llama3-mini random 0.2 round_weights: dtype float16",
                          "llama3-mini random, coarse 0.2 round_weights: dtype bfloat16"));
}

TEST_F(Transforms, TheDenseModelIsTransformedWhereTheTransformSaysSo) {
  const ExperimentPlan plan =
      PlanOf(Read(kRounded, {"round_weights=[none, {dense: true, label: rounded}]"}));
  const PlannedCell& rounded = Cell(plan, "llama3-mini dense round_weights: rounded");
  EXPECT_EQ(StageNames(rounded), "compress, round_weights, evaluate tiny-64");
}

TEST_F(Transforms, RefusesWhatIsWrong) {
  const auto problem = [&](const std::string& value) -> std::string {
    try {
      Read(kRounded, {"round_weights=" + value});
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(problem("{dtyp: bfloat16}"), HasSubstr("did you mean 'dtype'"));
  EXPECT_THAT(problem("{dtype: int3}"), HasSubstr("bfloat16"));
  EXPECT_THAT(problem("[none, none]"), HasSubstr("listed twice"));
  EXPECT_THAT(problem("[]"), HasSubstr("at least one"));
  EXPECT_THAT(problem("[[none]]"), HasSubstr("none or a map of options"));
}

TEST_F(Transforms, RunAreStoredAndShown) {
  const ExperimentSpec spec = Read(kRounded);
  ResultsStore store = Store();
  runs_of_transform = 0;
  EXPECT_EQ(Sweep(spec, store), 3);
  EXPECT_EQ(runs_of_transform, 1);

  // The model on disk is the compressed one, rounded.
  const ExperimentPlan plan = PlanOf(spec);
  const auto before = CheckpointModel::Open(Artefact(plan.cells[1]));
  const auto after = CheckpointModel::Open(Artefact(plan.cells[2]));
  const Tensor weights = before->LoadBlock(1).mlp.up.weight;
  EXPECT_FALSE(at::equal(weights, after->LoadBlock(1).mlp.up.weight));
  EXPECT_TRUE(at::equal(Rounded(weights, kBF16), after->LoadBlock(1).mlp.up.weight));

  const std::vector<Measurement> cells = MeasurementsOf(store, experiment_);
  ASSERT_EQ(cells.size(), 3u);
  EXPECT_EQ(cells[2].keys.at("round_weights"), "bfloat16");
  EXPECT_TRUE(cells[0].dense);
  std::map<std::string, int> stored;
  for (const MetricValue& value : cells[2].values) ++stored[value.protocol + " " + value.metric];
  EXPECT_EQ(stored["round_weights largest_change"], 1);
  EXPECT_EQ(stored["cost round_weights-seconds"], 1);
  EXPECT_EQ(stored["parameters parameters"], 1);
  EXPECT_EQ(stored["parameters deviation"], 1);
  EXPECT_EQ(stored["tiny-64 perplexity"], 1);

  const std::string table = ToText(ExperimentTableOf(spec, store, experiment_), TextStyle::kPlain);
  EXPECT_THAT(table, HasSubstr("round_weights"));
  EXPECT_THAT(table, HasSubstr("          bfloat16 "));
}

TEST_F(Transforms, AreResumed) {
  const ExperimentSpec spec = Read(kRounded);
  ResultsStore store = Store();
  EXPECT_EQ(Sweep(spec, store), 3);
  runs_of_transform = 0;
  EXPECT_EQ(Sweep(spec, store), 0);
  for (const CellStatus& status : StatusOf(spec, PlanOf(spec), &store, Rerun::kNothing)) {
    EXPECT_EQ(status.state, CellStatus::State::kDone) << status.reason;
  }

  // An evaluation that is added finds the model, or makes it again from nothing.
  EXPECT_EQ(Sweep(Read(kRounded, {"perplexity=[tiny-64, tiny-32]"}), store), 3);
  EXPECT_EQ(runs_of_transform, 0);
  const PlannedCell rounded = PlanOf(spec).cells[2];
  const std::string digest = CheckpointModel::Open(Artefact(rounded))->digest();
  fs::remove_all(results_ / "artefacts");
  EXPECT_EQ(Sweep(Read(kRounded, {"agreement=[tiny-64]"}), store), 2);
  EXPECT_EQ(runs_of_transform, 1);
  EXPECT_EQ(CheckpointModel::Open(Artefact(rounded))->digest(), digest);
}

TEST_F(Transforms, ASettingThatChangesIsAnotherCell) {
  ResultsStore store = Store();
  EXPECT_EQ(Sweep(Read(kRounded), store), 3);
  const ExperimentSpec changed = Read(kRounded, {"round_weights=[none, {dtype: float16}]"});
  const ExperimentPlan plan = PlanOf(changed);
  const std::vector<CellStatus> status = StatusOf(changed, plan, &store, Rerun::kNothing);
  EXPECT_EQ(status[1].state, CellStatus::State::kDone);
  EXPECT_EQ(status[2].state, CellStatus::State::kToDo);
  EXPECT_THAT(PlanText(changed, plan, status), HasSubstr("round_weights: dtype float16"));
  EXPECT_EQ(Sweep(changed, store), 1);
}

TEST_F(Transforms, AreDiscardedOnceNoCellNeedsThem) {
  ResultsStore store = Store();
  runs_of_transform = 0;
  EXPECT_EQ(Sweep(Read(kRounded, {"artefacts=discard"}), store), 3);
  EXPECT_EQ(runs_of_transform, 1);
  EXPECT_THAT(fs::directory_iterator(results_ / "artefacts") == fs::directory_iterator(), true);
  // The compression that two cells share was made once.
  const ExperimentPlan plan = PlanOf(Read(kRounded));
  EXPECT_EQ(store.FindStage(plan.cells[2].stages[1].key)->state.attempt, 1);
}

TEST_F(Transforms, ATransformedDenseModelIsNotTheDenseOne) {
  const ExperimentSpec spec =
      Read(kRounded, {"methods=[dense]", "round_weights=[none, {dense: true, label: rounded}]"});
  ResultsStore store = Store();
  EXPECT_EQ(Sweep(spec, store), 2);
  const std::vector<Measurement> cells = MeasurementsOf(store, experiment_);
  EXPECT_TRUE(cells.at(0).dense);
  EXPECT_FALSE(cells.at(1).dense);
}

}  // namespace
}  // namespace condense
