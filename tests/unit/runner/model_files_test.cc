// Which files of a model folder a command needs, and what it takes from them.
#include <gmock/gmock.h>

#include "unit/runner/runner_process.h"

namespace condense {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// The named files of llama2-mini in a folder of their own.
class ModelFiles : public testing::Test {
 protected:
  std::string Folder(const std::vector<const char*>& files) const {
    const fs::path folder = folder_.path() / "model";
    fs::create_directory(folder);
    for (const char* file : files) {
      fs::copy_file(fs::path(BundledModel("llama2-mini")) / file, folder / file);
    }
    return folder.string();
  }
  std::string File(const char* name, std::string_view content) const {
    WriteFileAtomically(folder_.path() / name, content);
    return (folder_.path() / name).string();
  }

  TempFolder folder_;
};

std::vector<int> Generated(const std::string& model, int count = 24) {
  const ProgramResult result =
      CallProgramWith({"generate", "--model", model, "--prompt", "Once upon a time", "--tokens",
                       std::to_string(count), "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return json::parse(result.out).at("ids").get<std::vector<int>>();
}

TEST_F(ModelFiles, GenerationStopsAtEveryIdThatEndsATextByGenerationConfig) {
  const std::string model =
      Folder({"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"});
  const std::vector<int> whole = Generated(model);
  ASSERT_EQ(whole.size(), 24u);
  const auto first = std::find(whole.begin(), whole.end(), whole[10]);
  const std::vector<int> until(whole.begin(), first + 1);
  for (const json& ids : {json(whole[10]), json({2, whole[10]}), json({whole[10], 2})}) {
    File("model/generation_config.json", json{{"eos_token_id", ids}}.dump());
    EXPECT_EQ(Generated(model), until) << ids.dump();
  }
  File("model/generation_config.json", R"({"eos_token_id": "two"})");
  EXPECT_THAT(CallProgramWith({"generate", "--model", model, "--prompt", "Once"}).err,
              HasSubstr("generation_config.json: eos_token_id is \"two\", expected a token id or"));
}

TEST_F(ModelFiles, GenerationStopsAsReported) {
  const fs::path model = SharedFolder() / "cases/generate_eos_list/model";
  CONDENSE_SKIP_WITHOUT(model);
  EXPECT_EQ(Generated(model.string()), (std::vector<int>{26, 438, 311, 504, 415, 100, 48}));
}

TEST_F(ModelFiles, IdsAreEvaluatedWithoutATokenizer) {
  std::string ids;
  for (int i = 0; i < 64; ++i) ids += {static_cast<char>(i * 7), static_cast<char>(i % 4)};
  const std::string file = File("ids.bin", ids);
  const auto evaluate = [&](const std::string& model) {
    const ProgramResult result =
        CallProgramWith({"evaluate", "--model", model, "--ids", file, "--window", "16", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    json values = json::parse(result.out);
    values.erase("seconds");
    return values;
  };
  const std::string bare = Folder({"config.json", "model.safetensors"});
  EXPECT_EQ(evaluate(bare), evaluate(BundledModel("llama2-mini")));
  const ProgramResult agreement = CallProgramWith(
      {"evaluate", "--model", bare, "--ids", file, "--window", "16", "--dense", bare, "--json"});
  EXPECT_EQ(agreement.exit_code, 0) << agreement.err;
  const ProgramResult special = CallProgramWith(
      {"evaluate", "--model", bare, "--ids", file, "--window", "16", "--special", "once"});
  EXPECT_EQ(special.exit_code, 3);
  EXPECT_THAT(special.err, HasSubstr("no tokenizer here"));
}

TEST_F(ModelFiles, TokenizingNeedsNoConfig) {
  const std::string model = Folder({"tokenizer.json", "tokenizer_config.json"});
  const auto tokenize = [](const std::string& folder) {
    return CallProgramWith({"tokenize", "--model", folder}, "\"Once upon a time\"\n");
  };
  const ProgramResult result = tokenize(model);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, tokenize(BundledModel("llama2-mini")).out);
}

TEST_F(ModelFiles, MarksOfWindowsInATextAreSaidInOneLine) {
  const auto said = [&](const std::string& text) {
    const std::string file = File("text.txt", text);
    const ProgramResult result = CallProgramWith(
        {"evaluate", "--model", BundledModel("llama2-mini"), "--text", file, "--window", "4"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.err;
  };
  EXPECT_THAT(said("One line\r\nand one more\nOnce\r\n"),
              HasSubstr("text.txt has 2 of 3 line ends as CR LF (Windows); this is tokenized as it "
                        "stands"));
  EXPECT_THAT(
      said("\xEF\xBB\xBFOnce upon a time\r\n"),
      HasSubstr("text.txt begins with a byte-order mark and has 1 of 1 line ends as CR LF"));
  EXPECT_THAT(said("Once upon a time\n"), Not(HasSubstr("warning")));
}

}  // namespace
}  // namespace condense
