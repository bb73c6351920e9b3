// Cases from public bug reports, of the development data, as commands: what compress writes and
// says, and where generate stops.
#include <gmock/gmock.h>

#include "unit/runner/runner_process.h"

namespace condense {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

fs::path Case(const std::string& name) { return SharedFolder() / "cases" / name; }

class PublicCases : public testing::Test {
 protected:
  fs::path out() const { return folder_.path() / "out"; }
  ProgramResult Compress(const std::string& name, const std::string& method,
                         const std::string& ratio) const {
    fs::remove_all(out());
    return CallProgramWith({"compress", "--model", (Case(name) / "model").string(), "--method",
                            method, "--ratio", ratio, "--calibration",
                            "ids:" + (Case(name) / "calibration.npy").string(), "--samples", "24",
                            "--length", "64", "--out", out().string(), "--json"});
  }
  json Evaluate(const std::string& name) const {
    const ProgramResult result =
        CallProgramWith({"evaluate", "--model", out().string(), "--ids",
                         (Case(name) / "ids.npy").string(), "--window", "64", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.Json();
  }
  TempFolder folder_;
};

TEST_F(PublicCases, ACompressedFolderIsPlainOrOfItsOwnType) {
  const std::string name = "compressed_loads_as_llama";
  CONDENSE_SKIP_WITHOUT(Case(name));
  ASSERT_EQ(Compress(name, "shortgpt", "0.25").exit_code, 0);
  json config = json::parse(ReadFile(out() / "config.json"));
  EXPECT_EQ(config.at("model_type"), "llama");
  EXPECT_THAT(config.at("architectures"), ElementsAre("LlamaForCausalLM"));
  EXPECT_EQ(config.at("num_hidden_layers"), 3);
  EXPECT_NEAR(Evaluate(name).at("nll").get<double>(), 6.472009, 2e-6);
  for (const char* method : {"svd", "slicegpt", "modegpt", "flap", "condense"}) {
    SCOPED_TRACE(method);
    const ProgramResult made = Compress(name, method, "0.25");
    ASSERT_EQ(made.exit_code, 0) << made.err;
    config = json::parse(ReadFile(out() / "config.json"));
    EXPECT_EQ(config.at("model_type"), "condense");
    EXPECT_THAT(config.at("architectures"), ElementsAre("CondenseForCausalLM"));
    EXPECT_TRUE(std::isfinite(Evaluate(name).at("nll").get<double>()));
  }
}

TEST_F(PublicCases, ARatioThatIsMissedIsSaid) {
  const std::string name = "ratio_not_met";  // of two blocks
  CONDENSE_SKIP_WITHOUT(Case(name));
  const ProgramResult half = Compress(name, "shortgpt", "0.3");
  EXPECT_EQ(half.exit_code, 0);
  EXPECT_THAT(half.err, AllOf(HasSubstr("30.00% of the block weights were asked for, 50.00% are"),
                              HasSubstr("whole blocks, of which the model has 2")));
  EXPECT_EQ(half.Json().at("ratio_asked"), 0.3);
  EXPECT_EQ(half.Json().at("ratio_achieved"), 0.5);
  EXPECT_EQ(half.Json().at("ratio_missed"), true);

  const ProgramResult met = Compress(name, "shortgpt", "0.5");
  EXPECT_EQ(met.exit_code, 0);
  EXPECT_THAT(met.err, Not(HasSubstr("were asked for")));
  EXPECT_EQ(met.Json().at("ratio_missed"), false);
}

TEST_F(PublicCases, WhereNothingCanBeRemovedCompressFails) {
  const std::string name = "ratio_not_met";
  CONDENSE_SKIP_WITHOUT(Case(name));
  const std::pair<const char*, const char*> cases[] = {
      {"shortgpt", "0.1"}, {"sleb", "0.3"}, {"even_depth", "0.3"}};
  for (const auto& [method, ratio] : cases) {
    SCOPED_TRACE(method);
    const ProgramResult result = Compress(name, method, ratio);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, HasSubstr("nothing is removed, although a ratio of " +
                                      std::string(ratio) + " was asked for"));
    EXPECT_FALSE(fs::exists(out()));
  }
}

TEST_F(PublicCases, ACalibrationSetOfOneTokenGivesAFiniteModel) {
  const std::string name = "flap_ls_rank_one";
  CONDENSE_SKIP_WITHOUT(Case(name));
  for (const char* method : {"flap_ls", "svd_llm", "obc", "modegpt"}) {
    const ProgramResult result = Compress(name, method, "0.3");
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
}

TEST_F(PublicCases, GenerationStopsAtEveryIdOfTheGenerationSettings) {
  const std::string name = "generate_eos_list";
  CONDENSE_SKIP_WITHOUT(Case(name));
  const ProgramResult result =
      CallProgramWith({"generate", "--model", (Case(name) / "model").string(), "--prompt",
                       "Once upon a time", "--tokens", "24", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.Json().at("ids"), ElementsAre(26, 438, 311, 504, 415, 100, 48));
}

}  // namespace
}  // namespace condense
