// Expansion of experiments: tests/specs/experiment/*.yaml against the plans beside them, and what
// keys depend on.
#include "experiment/plan/plan.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/sha256.h"
#include "experiment/run/status.h"
#include "support/tiny_configs.h"

namespace condense {
namespace {

using testing::HasSubstr;

std::string DigestOfName(const std::filesystem::path& file) {
  return Sha256Hex(file.filename().string());
}

// What a plan says without its keys, one line per cell.
std::string Outline(const ExperimentSpec& spec, const ExperimentPlan& plan) {
  std::string text;
  for (const PlannedCell& cell : plan.cells) {
    text += fmt::format("{}:", cell.name);
    for (const PlannedStage& stage : cell.stages) text += fmt::format(" {};", stage.Name());
    text += "\n";
  }
  text += "order:";
  for (const size_t cell : WorkOrder(spec, plan)) text += fmt::format(" {}", cell);
  return text + "\n";
}

class PlanTest : public testing::Test {
 protected:
  ExperimentSpec Read(const std::string& yaml, std::vector<std::string> overrides = {}) {
    return ReadExperiment({configs_.Experiment("e", yaml), "", std::move(overrides)});
  }
  ExperimentPlan PlanOf(const ExperimentSpec& spec, const FileDigester& digest = DigestOfName) {
    InputResolver inputs({{}, DataRoots::Default({})}, digest);
    return PlanExperiment(spec, inputs);
  }
  static const PlannedCell& Cell(const ExperimentPlan& plan, const std::string& name) {
    const auto found = std::find_if(plan.cells.begin(), plan.cells.end(),
                                    [&](const PlannedCell& cell) { return cell.name == name; });
    EXPECT_NE(found, plan.cells.end()) << name;
    return *found;
  }

  TinyConfigs configs_;
  const std::string small_ = R"(title: A
models: [llama2-mini]
methods: [dense, slicegpt, modegpt]
ratios: [0.2]
calibration: [tiny-8x64]
perplexity: [tiny-64]
table: {cell: perplexity}
)";
};

TEST_F(PlanTest, ExpandsAsTheSpecsSay) {
  int compared = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(SourceFolder() / "tests/specs/experiment")) {
    if (file.path().extension() != ".yaml") continue;
    std::filesystem::path expected = file.path();
    expected.replace_extension(".plan");
    SCOPED_TRACE(file.path().filename());
    const ExperimentSpec spec = Read(ReadFile(file.path()));
    EXPECT_EQ(Outline(spec, PlanOf(spec)), ReadFile(expected));
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST_F(PlanTest, KeysAreUniqueAndRepeatable) {
  const ExperimentSpec spec = Read(small_, {"ratios=[0.1, 0.2]", "models=[llama2-mini, opt-mini]"});
  std::set<std::string> keys;
  size_t stages = 0;
  for (const PlannedCell& cell : PlanOf(spec).cells) {
    EXPECT_TRUE(cell.complete);
    for (const PlannedStage& stage : cell.stages) {
      keys.insert(stage.key);
      ++stages;
    }
  }
  // Four cells of each model calibrate alike.
  EXPECT_EQ(keys.size(), stages - 2 * 3);
  const ExperimentPlan again = PlanOf(spec);
  EXPECT_EQ(Cell(again, "opt-mini modegpt 0.1").fingerprint,
            Cell(PlanOf(spec), "opt-mini modegpt 0.1").fingerprint);
}

TEST_F(PlanTest, AFingerprintDependsOnWhatGoesIn) {
  const ExperimentPlan base = PlanOf(Read(small_));
  const auto changed = [&](const std::string& name, const ExperimentPlan& other) {
    return Cell(base, name).fingerprint != Cell(other, name).fingerprint;
  };
  const auto with_other = [&](const std::string& file) {
    return PlanOf(Read(small_), [&](const std::filesystem::path& path) {
      return path.filename() == file ? Sha256Hex("other") : DigestOfName(path);
    });
  };
  const std::string dense = "llama2-mini dense", sliced = "llama2-mini slicegpt 0.2";
  EXPECT_TRUE(changed(dense, with_other("model.safetensors")));
  EXPECT_TRUE(changed(sliced, with_other("tokenizer.json")));
  EXPECT_TRUE(changed(sliced, with_other("articles_nature.txt")));
  EXPECT_FALSE(changed(dense, with_other("articles_nature.txt")));
  EXPECT_TRUE(changed(sliced, PlanOf(Read(small_, {"methods[1].round_to=2"}))));
  EXPECT_FALSE(changed("llama2-mini modegpt 0.2", PlanOf(Read(small_, {"methods[1].round_to=2"}))));
  EXPECT_TRUE(
      changed("llama2-mini modegpt 0.2", PlanOf(Read(small_, {"methods[2].allocator=uniform"}))));
  EXPECT_TRUE(changed(dense, PlanOf(Read(small_, {"dtype=bfloat16"}))));
  // What is said by default is the same as what is written out.
  EXPECT_FALSE(changed(sliced, PlanOf(Read(small_, {"methods[1].match=block"}))));
}

TEST_F(PlanTest, AnotherProtocolIsAnotherStageOfTheSameCell) {
  const ExperimentPlan one = PlanOf(Read(small_)),
                       two = PlanOf(Read(small_, {"perplexity=[tiny-64, tiny-32]"}));
  const PlannedCell& before = Cell(one, "llama2-mini slicegpt 0.2");
  const PlannedCell& after = Cell(two, "llama2-mini slicegpt 0.2");
  EXPECT_EQ(before.fingerprint, after.fingerprint);
  ASSERT_EQ(after.stages.size(), 4u);
  for (size_t i = 0; i < before.stages.size(); ++i)
    EXPECT_EQ(before.stages[i].key, after.stages[i].key);
}

TEST_F(PlanTest, ATaskIsAStageThatDependsOnItsFileProtocolAndPart) {
  const std::string task = small_ + "zero_shot: {tasks: [bundle_facts, bundle_physical]}\n";
  const auto key_of = [&](const ExperimentPlan& plan) {
    const PlannedCell& cell = Cell(plan, "llama2-mini dense");
    EXPECT_EQ(cell.stages.size(), 4u);
    return cell.stages.at(2).key;
  };
  const ExperimentPlan base = PlanOf(Read(task));
  EXPECT_EQ(Cell(base, "llama2-mini dense").stages.at(2).Name(),
            "evaluate lmeval-bos bundle_facts");
  EXPECT_NE(key_of(base), key_of(PlanOf(Read(task, {"zero_shot.limit=7"}))));
  EXPECT_NE(key_of(base), key_of(PlanOf(Read(task, {"zero_shot.protocols=[lmeval-nobos]"}))));
  const auto other = [&](const std::string& file) {
    return PlanOf(Read(task), [&](const std::filesystem::path& path) {
      return path.filename() == file ? Sha256Hex("other") : DigestOfName(path);
    });
  };
  EXPECT_NE(key_of(base), key_of(other("facts.jsonl")));
  EXPECT_EQ(key_of(base), key_of(other("physical.jsonl")));
}

TEST_F(PlanTest, AgreementIsMeasuredOfCompressedModelsAlone) {
  const ExperimentPlan plan = PlanOf(Read(small_ + "agreement: [tiny-64]\n"));
  for (const PlannedCell& cell : plan.cells) {
    const bool dense = cell.name == "llama2-mini dense";
    const bool measured = cell.stages.back().Name() == "evaluate agree-tiny-64";
    EXPECT_EQ(measured, !dense) << cell.name;
  }
}

TEST_F(PlanTest, NamesEverythingThatIsMissing) {
  const ExperimentSpec spec = Read(small_, {"models=[llama-2-7b, {name: mine, path: nowhere}]"});
  const ExperimentPlan plan = PlanOf(spec);
  ASSERT_EQ(plan.missing.size(), 2u);
  EXPECT_THAT(plan.missing[0], HasSubstr("DIR/meta-llama/Llama-2-7b-hf/"));
  EXPECT_THAT(plan.missing[0], HasSubstr("model.safetensors.index.json"));
  EXPECT_THAT(plan.missing[1], HasSubstr("nowhere/"));
  EXPECT_FALSE(plan.cells.at(0).complete);
  EXPECT_THAT(PlanText(spec, plan, StatusOf(spec, plan, nullptr, Rerun::kNothing)),
              HasSubstr("blocked"));
}

TEST(ChangedParts, NamesTheKeysThatDiffer) {
  EXPECT_EQ(ChangedParts(R"({"a":1,"m":{"w":"x","c":"y"}})", R"({"a":2,"m":{"w":"z","c":"y"}})"),
            "a, m.w");
}

}  // namespace
}  // namespace condense
