// What an experiment file may say, and how it is refused.
#include "experiment/spec/spec.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "config/paths.h"
#include "experiment/plan/plan.h"
#include "experiment/spec/experiment_list.h"
#include "support/tiny_configs.h"

namespace condense {
namespace {

using testing::HasSubstr;

constexpr const char* kGood = R"(title: A
models: [llama2-mini]
methods: [dense, {use: slicegpt, round_to: 1}]
ratios: [0.1, 0.2]
calibration: [tiny-8x64]
perplexity: [tiny-64]
table: {cell: perplexity}
)";

class ExperimentSpecTest : public testing::Test {
 protected:
  ExperimentSpec Read(const std::string& yaml, std::vector<std::string> overrides = {},
                      const std::string& profile = "") {
    return ReadExperiment({configs_.Experiment("e", yaml), profile, std::move(overrides)});
  }
  // The message of the ConfigError, without the folder of the file.
  std::string Refusal(const std::string& yaml, std::vector<std::string> overrides = {}) {
    try {
      Read(yaml, std::move(overrides));
    } catch (const ConfigError& error) {
      std::string text = error.what();
      const std::string folder = configs_.folder().string() + "/";
      for (size_t at; (at = text.find(folder)) != std::string::npos;) text.erase(at, folder.size());
      return text;
    }
    return "accepted";
  }
  static std::string Replaced(std::string text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  }
  std::string RefusalOf(const std::string& from, const std::string& to) {
    return Refusal(Replaced(kGood, from, to));
  }

  TinyConfigs configs_;
};

TEST_F(ExperimentSpecTest, ReadsWhatItSays) {
  const ExperimentSpec spec = Read(kGood);
  EXPECT_EQ(spec.name, "e");
  EXPECT_EQ(spec.profile, "");
  ASSERT_EQ(spec.methods.size(), 2u);
  EXPECT_FALSE(spec.methods[0].uses_ratio);
  EXPECT_EQ(spec.methods[1].label, "slicegpt");
  EXPECT_EQ(spec.methods[1].match, Match::kBlock);
  EXPECT_THAT(spec.methods[1].method.canonical, HasSubstr("\"round_to\":1"));
  EXPECT_EQ(spec.table.rows, (std::vector<std::string>{"model", "method"}));
  EXPECT_EQ(spec.table.cells.at(0).select.metric, "perplexity");
}

TEST_F(ExperimentSpecTest, MergesTheProfileOverTheRest) {
  const std::string text =
      std::string(kGood) + "profiles:\n  bundled: {models: [opt-mini]}\n  other: {ratios: [0.3]}\n";
  EXPECT_EQ(Read(text).profile, "bundled");
  EXPECT_EQ(Read(text).models.at(0).name, "opt-mini");
  EXPECT_EQ(Read(text, {}, "other").ratios, std::vector<double>{0.3});
  EXPECT_EQ(Read(text, {}, "other").models.at(0).name, "llama2-mini");
  EXPECT_THROW(Read(text, {}, "othr"), ConfigError);
}

TEST_F(ExperimentSpecTest, TakesOverridesLast) {
  const ExperimentSpec spec = Read(kGood, {"ratios=[0.4]", "methods[1].round_to=2"});
  EXPECT_EQ(spec.ratios, std::vector<double>{0.4});
  EXPECT_THAT(spec.methods[1].method.canonical, HasSubstr("\"round_to\":2"));
  EXPECT_TRUE(spec.overridden);
  EXPECT_NE(spec.canonical, Read(kGood).canonical);
}

TEST_F(ExperimentSpecTest, AnAblationIsOneMoreRowOfTheMethod) {
  const std::string text =
      std::string(kGood) +
      "ablations: [{name: wide, methods: [slicegpt], set: {round_to: 8, match: total}}]\n";
  const ExperimentSpec spec = Read(text);
  ASSERT_EQ(spec.methods.size(), 3u);
  EXPECT_EQ(spec.methods[2].label, "slicegpt, wide");
  EXPECT_EQ(spec.methods[2].match, Match::kTotal);
  EXPECT_THAT(spec.methods[2].method.canonical, HasSubstr("\"round_to\":8"));
}

TEST_F(ExperimentSpecTest, AMethodWithAnAllocatorGetsTheDefaultOne) {
  const ExperimentSpec spec = Read(Replaced(kGood, "{use: slicegpt, round_to: 1}", "modegpt"));
  EXPECT_EQ(spec.methods[1].allocator.name, "block_influence");
  EXPECT_FALSE(Read(kGood).methods[1].allocator);
}

TEST_F(ExperimentSpecTest, ReportsEveryProblemWithItsPlace) {
  const std::string message = Refusal(R"(title: A
models: [llama2-min]
methods: [dense, {use: modgpt}, {use: slicegpt, rond_to: 1}]
ratios: [0.1, 1.0]
calibration: [tiny-8x65]
perplexity: [tiny-64]
tabel: {cell: perplexity}
table: {rows: [modl], cell: perplexity}
)");
  EXPECT_THAT(message, HasSubstr("e.yaml:2:10: models[0]: unknown model 'llama2-min'; did you mean "
                                 "'llama2-mini'?"));
  EXPECT_THAT(message,
              HasSubstr("e.yaml:3:24: methods[1].use: unknown method 'modgpt'; did you mean "
                        "'modegpt'?"));
  EXPECT_THAT(message, HasSubstr("methods[2]: unknown key 'rond_to'; did you mean 'round_to'?"));
  EXPECT_THAT(message, HasSubstr("e.yaml:4:15: ratios[1]: must be in [0, 1), found 1.0"));
  EXPECT_THAT(message, HasSubstr("unknown calibration set 'tiny-8x65'; did you mean 'tiny-8x64'?"));
  EXPECT_THAT(message, HasSubstr("e.yaml:7:1: unknown key 'tabel'; did you mean 'table'?"));
  EXPECT_THAT(message, HasSubstr("unknown table key 'modl'; did you mean 'model'?"));
}

TEST_F(ExperimentSpecTest, RefusesWhatHasNoMeaning) {
  EXPECT_THAT(RefusalOf("dense,", "{use: dense, match: block},"),
              HasSubstr("method 'dense' has no ratio to match"));
  EXPECT_THAT(RefusalOf("round_to: 1", "allocator: uniform"),
              HasSubstr("method 'slicegpt' uses no allocator"));
  EXPECT_THAT(RefusalOf("round_to: 1", "match: blok"), HasSubstr("did you mean 'block'?"));
  EXPECT_THAT(RefusalOf("ratios: [0.1, 0.2]", "ratios: []"), HasSubstr("needs ratios"));
  EXPECT_THAT(RefusalOf("calibration: [tiny-8x64]", "calibration: []"),
              HasSubstr("needs a calibration set"));
}

TEST_F(ExperimentSpecTest, WhatIsMeasuredStandsUnderTheNamesOfEvaluators) {
  const ExperimentSpec spec = Read(std::string(kGood) +
                                   "zero_shot: {tasks: [bundle_facts, bundle_physical], "
                                   "protocols: [lmeval-bos, lmeval-nobos], limit: 5}\n"
                                   "agreement: [tiny-64]\n");
  ASSERT_EQ(spec.evaluators.size(), 3u);
  EXPECT_EQ(spec.evaluators[0].name, "perplexity");
  std::vector<std::string> stages;
  for (const EvaluationStage& stage : spec.evaluators[1]->Stages()) stages.push_back(stage.Name());
  EXPECT_THAT(stages, testing::ElementsAre("lmeval-bos bundle_facts@first-5",
                                           "lmeval-bos bundle_physical@first-5",
                                           "lmeval-nobos bundle_facts@first-5",
                                           "lmeval-nobos bundle_physical@first-5"));
  EXPECT_EQ(spec.evaluators[2]->Stages().at(0).Name(), "agree-tiny-64");
  EXPECT_FALSE(spec.evaluators[2]->ForDense());
}

TEST_F(ExperimentSpecTest, AListStandsForTheFirstSettingOfAnEvaluator) {
  const auto stages = [&](const std::string& zero_shot) {
    std::vector<std::string> names;
    const ExperimentSpec spec = Read(std::string(kGood) + "zero_shot: " + zero_shot + "\n");
    for (const EvaluationStage& stage : spec.evaluators.at(1)->Stages()) {
      names.push_back(stage.Name());
    }
    return names;
  };
  EXPECT_EQ(stages("[bundle_facts]"), stages("{tasks: [bundle_facts]}"));
}

TEST_F(ExperimentSpecTest, RefusesWhatCannotBeMeasured) {
  EXPECT_THAT(RefusalOf("perplexity: [tiny-64]\n", ""),
              HasSubstr("nothing is measured; expected one of the keys agreement, arithmetic"));
  EXPECT_THAT(RefusalOf("perplexity: [tiny-64]", "perplexity: [tiny-64, tiny-64]"),
              HasSubstr("perplexity[1]: 'tiny-64' is listed twice"));
  EXPECT_THAT(RefusalOf("perplexity: ", "perplexty: "),
              HasSubstr("unknown key 'perplexty'; did you mean 'perplexity'?"));
  const auto with = [&](const std::string& text) { return Refusal(kGood + text); };
  EXPECT_THAT(with("zero_shot: [bundle_fact]\n"),
              HasSubstr("zero_shot[0]: unknown task 'bundle_fact'; did you mean 'bundle_facts'?"));
  EXPECT_THAT(with("zero_shot: {tasks: [bundle_facts], protocols: [lmeval-bs]}\n"),
              HasSubstr("did you mean 'lmeval-bos'?"));
  EXPECT_THAT(with("zero_shot: {tasks: [bundle_facts], limit: 0}\n"), HasSubstr("limit"));
  EXPECT_THAT(with("zero_shot: {task: [bundle_facts]}\n"),
              HasSubstr("unknown key 'task'; did you mean 'tasks'?"));
}

TEST_F(ExperimentSpecTest, RefusesDuplicates) {
  EXPECT_THAT(RefusalOf("[0.1, 0.2]", "[0.1, 0.10]"), HasSubstr("'0.10' is listed twice"));
  EXPECT_THAT(RefusalOf("[dense,", "[dense, dense,"), HasSubstr("two rows are called 'dense'"));
  EXPECT_THAT(RefusalOf("title: A", "title: A\ntitle: B"), HasSubstr("title"));
}

TEST_F(ExperimentSpecTest, RefusesWrongTypesAndMissingKeys) {
  EXPECT_THAT(RefusalOf("[0.1, 0.2]", "0.1"), HasSubstr("ratios: expected list of number"));
  EXPECT_THAT(RefusalOf("title: A\n", ""), HasSubstr("missing key 'title'"));
  EXPECT_THAT(Refusal(""), HasSubstr("an empty file"));
  EXPECT_THAT(RefusalOf("[tiny-64]", "[tiny-46]"),
              HasSubstr("unknown perplexity protocol 'tiny-46'; did you mean"));
  EXPECT_THAT(Refusal(std::string(kGood) +
                      "ablations: [{name: x, methods: [slicgpt], set: {round_to: 2}}]\n"),
              HasSubstr("no method is labelled 'slicgpt'; did you mean 'slicegpt'?"));
  EXPECT_THAT(Refusal(std::string(kGood) + "ablations: [{name: x, set: {rond_to: 2}}]\n"),
              HasSubstr("unknown key 'rond_to'"));
}

TEST_F(ExperimentSpecTest, TheTableMayShowSeveralMetrics) {
  const TableSpec table =
      Read(Replaced(kGood, "{cell: perplexity}",
                    "{rows: [method], cell: [perplexity, {metric: perplexity, relative: true, "
                    "decimals: 1}], extra: [total-params], best: none, labels: {dense: Dense}}"))
          .table;
  ASSERT_EQ(table.cells.size(), 2u);
  EXPECT_EQ(table.cells[1].kind, ValueColumn::Kind::kRelativeToDense);
  EXPECT_EQ(table.cells[1].format->digits, 1);
  EXPECT_EQ(table.extra.at(0).select.metric, "total-params");
  EXPECT_EQ(table.best, TableSpec::Best::kNone);
  EXPECT_EQ(table.labels.at("dense"), "Dense");
}

TEST_F(ExperimentSpecTest, AModelFolderLiesBesideTheExperiment) {
  const ExperimentSpec spec =
      Read(Replaced(kGood, "[llama2-mini]", "[{name: mine, path: some/dir}]"));
  EXPECT_EQ(spec.models.at(0).name, "mine");
  EXPECT_EQ(spec.models.at(0).folder, configs_.folder() / "some/dir");
}

TEST_F(ExperimentSpecTest, AMethodMayHaveRatiosOfItsOwn) {
  const ExperimentSpec spec =
      Read(Replaced(kGood, "round_to: 1", "round_to: 1, ratios: [0.05], label: S"));
  EXPECT_EQ(spec.methods[1].ratios, std::vector<double>{0.05});
  EXPECT_THAT(RefusalOf("dense,", "{use: dense, ratios: [0.1]},"),
              HasSubstr("method 'dense' has no ratio"));
  EXPECT_THAT(RefusalOf("round_to: 1", "ratios: [0.1, 0.1]"), HasSubstr("is listed twice"));
}

class ExperimentListTest : public ExperimentSpecTest {
 protected:
  ExperimentListTest() {
    configs_.Experiment("a", kGood);
    configs_.Experiment("b", std::string(kGood) + "dtype: bfloat16\n");
  }
  std::string RefusalOfList(const std::string& experiments) {
    try {
      ReadExperimentList(configs_.Experiment("l", "title: L\nexperiments: " + experiments + "\n"));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  }
};

TEST_F(ExperimentListTest, StandsForItsExperiments) {
  const std::vector<ExperimentSpec> specs =
      ReadExperiments({configs_.Experiment("l", "title: L\nexperiments: [b, a.yaml]\n"), "", {}});
  ASSERT_EQ(specs.size(), 2u);
  EXPECT_EQ(specs[0].name, "b");
  EXPECT_EQ(specs[1].name, "a");
  // A name is one of experiments/ where no file lies beside the list.
  const auto files =
      ReadExperimentList(configs_.Experiment("l", "title: L\nexperiments: [a, table1]\n")).files;
  EXPECT_EQ(files[0], configs_.folder() / "a.yaml");
  EXPECT_EQ(files[1], ExperimentsFolder() / "table1.yaml");
  EXPECT_EQ(ReadExperiments({configs_.folder() / "a.yaml", "", {}}).size(), 1u);
}

TEST_F(ExperimentListTest, RefusesWhatIsNoExperiment) {
  EXPECT_THAT(RefusalOfList("[a, tabel1]"),
              HasSubstr("experiments[1]: 'tabel1' is neither an experiment file nor the name of "
                        "one; did you mean 'table1'?"));
  EXPECT_THAT(RefusalOfList("[a, a.yaml]"), HasSubstr("'a.yaml' is listed twice"));
  EXPECT_THAT(RefusalOfList("[all]"), HasSubstr("is itself a list"));
  EXPECT_THAT(RefusalOfList("[]"), HasSubstr("must not be empty"));
  EXPECT_THAT(RefusalOfList("[[a]]"), HasSubstr("expected the name of an experiment"));
  const auto file = configs_.Experiment("l", "title: L\nexperiments: [a, b]\n");
  EXPECT_THROW(ReadExperiments({file, "", {"ratios=[0.3]"}}), ConfigError);
  EXPECT_THROW(ReadExperiments({file, "paper", {}}), ConfigError);
}

// Every experiment that regenerates something has both profiles and says what.
// What is run to see that the program works, and regenerates nothing of a paper, has no profiles.
bool IsFirstRun(const std::filesystem::path& file) {
  return file.stem() == "smoke" || file.stem() == "quickstart";
}

TEST(ShippedExperiments, AreValidInEveryProfile) {
  for (const auto& file : std::filesystem::directory_iterator(SourceFolder() / "experiments")) {
    SCOPED_TRACE(file.path().filename());
    const Node root = Node::ParseFile(file.path());
    EXPECT_NE(root.Find("description"), nullptr);
    if (IsExperimentList(root)) {
      for (const char* profile : {"bundled", "paper"}) {
        EXPECT_NO_THROW(ReadExperiments({file.path(), profile, {}}));
      }
      continue;
    }
    std::vector<std::string> profiles = ProfilesOf(root);
    if (IsFirstRun(file.path())) profiles.emplace_back();
    EXPECT_FALSE(profiles.empty());
    for (const std::string& profile : profiles) {
      SCOPED_TRACE(profile);
      EXPECT_NO_THROW(
          EXPECT_FALSE(ExpandCells(ReadExperiment({file.path(), profile, {}})).empty()));
    }
  }
}

TEST(ShippedExperiments, AreAllListed) {
  std::vector<std::string> listed, expected;
  for (const auto& file : ReadExperimentList(SourceFolder() / "experiments/all.yaml").files) {
    listed.push_back(file.stem());
  }
  for (const auto& file : std::filesystem::directory_iterator(SourceFolder() / "experiments")) {
    const std::string name = file.path().stem();
    if (!IsFirstRun(file.path()) && name != "all") expected.push_back(name);
  }
  EXPECT_THAT(listed, testing::UnorderedElementsAreArray(expected));
}

// What is drawn from one corpus with one seed begins alike, whatever its size.
TEST(ShippedCalibrations, SizesDifferInNothingElse) {
  for (const char* samples : {"8", "16", "32", "64", "128", "256", "512", "1024"}) {
    const auto read = [&](const std::string& name) {
      return CanonicalText(Node::ParseFile(NamedConfig("calibration", name)).Without({"samples"}));
    };
    const std::string n = samples;
    EXPECT_EQ(read("bundled-" + n + "x256"), read("bundled-128x256"));
    EXPECT_EQ(read("wikitext2-" + n + "x2048"), read("wikitext2-128x2048"));
  }
}

}  // namespace
}  // namespace condense
