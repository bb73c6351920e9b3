// runner stats over a database of fabricated scores.
#include <gmock/gmock.h>

#include "stats/means.h"
#include "unit/report/fabricated_results.h"
#include "unit/runner/runner_process.h"

namespace condense {
namespace {

using testing::HasSubstr;

class RunnerStats : public testing::Test {
 protected:
  RunnerStats() {
    results_.Register({dense_, sliced_, modegpt_});
    int right = 20;
    for (const RunRecord& run : {dense_, sliced_, modegpt_}) {
      for (const MeanTerm& term : FindMean("mean5-bundled").terms) {
        results_.Add(run, FabricatedScores(term.task, Answers(right, 40)));
      }
      right += 5;
    }
  }

  ProgramResult Stats(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "stats");
    arguments.insert(arguments.end(), {"--db", (results_.folder() / "r.sqlite").string()});
    return CallProgramWith(arguments);
  }

  FabricatedResults results_;
  RunRecord dense_ = FabricatedResults::Run("a", "dense"),
            sliced_ = FabricatedResults::Run("a", "slicegpt", 0.2),
            modegpt_ = FabricatedResults::Run("a", "modegpt", 0.2);
};

TEST_F(RunnerStats, ComparesACellWithItsDenseModelAndABaseline) {
  const ProgramResult result = Stats({"--cell", "a/mod", "--baseline", "slicegpt"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"mean5-bundled", "bundle_facts", "dense", "slicegpt", "Holm p"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
}

TEST_F(RunnerStats, ComparesTwoCells) {
  const ProgramResult result = Stats({"--cell", "a/slice", "--cell", "a/mod", "--json", "--tasks",
                                      "bundle_facts,bundle_physical", "--metric", "acc"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = result.Json();
  ASSERT_EQ(json.size(), 2u);
  ASSERT_EQ(json[1]["statistics"].size(), 2u);
  EXPECT_EQ(json[1]["statistics"][0]["comparisons"][0]["against_run"], sliced_.fingerprint);
}

TEST_F(RunnerStats, PrintsCsv) {
  const ProgramResult result = Stats({"--cell", "a/mod", "--csv"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, testing::StartsWith("model,dtype,method,ratio"));
}

TEST_F(RunnerStats, RefusesWhatItCannotAnswer) {
  EXPECT_THAT(Stats({}).err, HasSubstr("name an experiment, or cells with --cell"));
  EXPECT_EQ(Stats({}).exit_code, 2);
  EXPECT_THAT(Stats({"--cell", "b"}).err, HasSubstr("no cell whose fingerprint begins with 'b'"));
  EXPECT_THAT(Stats({"--cell", "a/mod", "--tasks", "bundle_fact"}).err,
              HasSubstr("did you mean 'bundle_facts'?"));
  EXPECT_THAT(Stats({"--cell", "a/mod", "--json", "--csv"}).err, HasSubstr("--json and --csv"));
  EXPECT_THAT(Stats({"--cell", "a/mod", "--average", "seed"}).err,
              HasSubstr("--average takes the cells of an experiment"));
}

}  // namespace
}  // namespace condense
