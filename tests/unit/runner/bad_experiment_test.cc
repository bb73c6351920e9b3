// Wrong experiment files: every problem at once, each with its line and column, before any work.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "unit/runner/runner_process.h"

namespace condense {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kYaml = R"(title: Tiny
models: [llama3-mini]
methods: [dense, slicegpt]
ratios: [0.2]
calibration: [tiny-8x64]
perplexity: [tiny-64]
table: {cell: perplexity}
)";

class BadExperiment : public testing::Test {
 protected:
  // The file with `from` replaced, or with a line more if `from` is empty.
  ProgramResult Run(const std::string& from, const std::string& to,
                    std::vector<std::string> more = {}) const {
    std::string yaml = kYaml;
    if (from.empty()) {
      yaml += to + "\n";
    } else {
      yaml.replace(yaml.find(from), from.size(), to);
    }
    more.insert(more.begin(), {configs_.Experiment("tiny", yaml).string(), "--db",
                               (configs_.folder() / "results/results.sqlite").string()});
    return CallProgramWith(more);
  }

  TinyConfigs configs_;
};

TEST_F(BadExperiment, IsRefusedWithThePlace) {
  struct Case {
    const char *from, *to, *says;
  };
  for (const auto& [from, to, says] : std::vector<Case>{
           {"", "seed: [3]", "tiny.yaml:8:1: unknown key 'seed'; did you mean 'seeds'?"},
           {"", "title: Other", "tiny.yaml:8:1: the key 'title' is given twice; first at line 1"},
           {"[0.2]", "[a]", "tiny.yaml:4:10: ratios[0]: expected a finite number, found 'a'"},
           {"[0.2]", "[1.0]", "ratios[0]: must be in [0, 1), found 1.0"},
           {"[0.2]", "[-0.1]", "ratios[0]: must be in [0, 1), found -0.1"},
           {"[0.2]", "[.nan]", "ratios[0]: expected a finite number"},
           {"[0.2]", "{a: 1}", "ratios: expected list of number, found a map"},
           {"[0.2]", "[]", "method 'slicegpt' needs ratios"},
           {"slicegpt", "slicgpt",
            "methods[1]: unknown method 'slicgpt'; did you mean 'slicegpt'?"},
           {"slicegpt", "{use: slicegpt, rond_to: 1}", "did you mean 'round_to'?"},
           {"slicegpt", "{use: slicegpt, round_to: 0}",
            "methods[1].round_to: must be in [1, 4096]"},
           {"slicegpt", "{use: modegpt, allocator: unifrm}", "did you mean 'uniform'?"},
           {"slicegpt", "{use: modegpt, allocator: {use: from_file, path: none.csv}}",
            "none.csv: cannot open: No such file"},
           {"[dense, slicegpt]", "[]", "tiny.yaml:3:10: methods: must not be empty"},
           {"llama3-mini", "llama3-min", "unknown model 'llama3-min'; did you mean 'llama3-mini'?"},
           {"tiny-8x64", "tiny-8x65", "calibration[0]: unknown calibration set 'tiny-8x65'"},
           {"tiny-64]", "tiny-65]", "perplexity[0]: unknown perplexity protocol 'tiny-65'"},
           {"cell: perplexity", "cell: perplexty",
            "table.cell: unknown metric 'perplexty'; did you mean 'perplexity'?"},
           {"cell: perplexity", "cell: perplexity, rows: [modle]", "did you mean 'model'?"},
           {"", "  x: [", "tiny.yaml:8:3: not YAML"},
           {"", "\tx: 1", "a tab in the indentation"},
           {"Tiny", "T\xff", "not valid UTF-8"},
       }) {
    SCOPED_TRACE(to);
    const ProgramResult result = Run(from, to);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr("tiny.yaml"), HasSubstr(says)));
  }
  EXPECT_FALSE(std::filesystem::exists(configs_.folder() / "results"));
}

TEST_F(BadExperiment, SaysEverythingAtOnce) {
  const ProgramResult result =
      Run("methods: [dense, slicegpt]\nratios: [0.2]", "methods: [dense, slicgpt]\nratios: [0.2x]");
  EXPECT_THAT(result.err, AllOf(HasSubstr("tiny.yaml:3:18:"), HasSubstr("tiny.yaml:4:10:")));
}

TEST_F(BadExperiment, AssignmentsAreCheckedAlike) {
  struct Case {
    const char *assignment, *says;
  };
  for (const auto& [assignment, says] : std::vector<Case>{
           {"ratio=[0.3]", "unknown key 'ratio'; did you mean 'ratios'?"},
           {"ratios", "expected KEY=VALUE"},
           {"ratios=[1]", "ratios[0]: must be in [0, 1), found 1"},
           {"methods=[]", "methods: must not be empty"},
           {"methods[7]=dense", "'methods' has 2 items, counted from 0"},
       }) {
    const ProgramResult result = Run("", "", {"--set", assignment});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, AllOf(HasSubstr("--set"), HasSubstr(says)));
  }
  EXPECT_THAT(Run("", "", {"--profile", "paper"}).err, HasSubstr("has no profiles"));
}

TEST_F(BadExperiment, APaperProfileSaysWhatItLooksFor) {
  const ProgramResult result = CallProgramWith(
      {(SourceFolder() / "experiments/table1.yaml").string(), "--set", "perplexity=[tiny-64]",
       "--set", "calibration=[tiny-8x64]", "--set", "models=[llama-2-7b]", "--models",
       "/folder/of/models", "--db", (configs_.folder() / "r.sqlite").string()});
  EXPECT_EQ(result.exit_code, 2);
  for (const char* what : {"/folder/of/models/Llama-2-7b-hf/", "model.safetensors.index.json",
                           "tokenizer.model", "nothing was run"}) {
    EXPECT_THAT(result.err, HasSubstr(what));
  }
}

// What an allocation was read from is part of the cell, relative to the experiment.
TEST_F(BadExperiment, AnAllocationFileIsReadWithTheExperimentAndTraced) {
  const auto plan = [&](const char* removed) {
    std::string csv = "layer,mlp,qk,vo\n";
    for (int l = 0; l < 6; ++l) csv += fmt::format("{0},{1},{1},{1}\n", l, removed);
    WriteText(configs_.folder() / "allocation.csv", csv);
    return Run("slicegpt", "{use: modegpt, allocator: {use: from_file, path: allocation.csv}}",
               {"--dry-run"});
  };
  const ProgramResult first = plan("0.2"), same = plan("0.2"), other = plan("0.3");
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.out, same.out);
  EXPECT_NE(first.out, other.out);
}

}  // namespace
}  // namespace condense
