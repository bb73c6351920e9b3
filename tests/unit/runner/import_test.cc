// `runner import`, and the tokenizers that it makes of the metadata of GGUF files.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "support/gguf_vocabulary.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "tokenizer/tokenizer.h"
#include "unit/runner/runner_process.h"

namespace condense {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct ModelFile {
  TempFolder folder;
  std::filesystem::path file = folder.path() / "model.gguf", out = folder.path() / "model";

  explicit ModelFile(const std::string& bytes) { WriteFileAtomically(file, bytes); }
  ProgramResult Import() {
    return CallProgramWith({"import", file.string(), "--out", out.string()});
  }
};

// The tokenizer of an imported model gives the ids of the folder's own.
void ExpectSameTokenizer(const std::filesystem::path& imported_folder,
                         const std::filesystem::path& folder) {
  const auto expected = LoadTokenizer(folder), imported = LoadTokenizer(imported_folder);
  EXPECT_EQ(imported->bos(), expected->bos());
  EXPECT_EQ(imported->eos(), expected->eos());
  EXPECT_EQ(imported->size(), expected->size());
  for (const json& row : ReadJson(GoldenFile("tokenizer/strings.json")).at("strings")) {
    const auto text = row.get<std::string>();
    for (const SpecialTokens special : {SpecialTokens::kAdd, SpecialTokens::kNone}) {
      const auto ids = expected->Encode(text, special);
      EXPECT_EQ(imported->Encode(text, special), ids) << text;
      EXPECT_EQ(imported->Decode(ids), expected->Decode(ids)) << text;
    }
  }
}

TEST(RunnerImport, MakesATokenizerOfMergesThatGivesTheSameIds) {
  const auto folder = ModelFolder("llama3-mini");
  GgufBytes bytes = GgufOfFolder(folder);
  AddByteLevelVocabulary(bytes, folder);
  ModelFile model(bytes.Bytes());
  const ProgramResult result = model.Import();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("parameters in float16"));
  ExpectSameTokenizer(model.out, folder);
}

TEST(RunnerImport, MakesATokenizerOfScoresThatGivesTheSameIds) {
  const auto folder = ModelFolder("llama2-mini");
  GgufBytes bytes = GgufOfFolder(folder);
  AddScoredVocabulary(bytes, folder);
  ModelFile model(bytes.Bytes());
  const ProgramResult result = model.Import();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  ExpectSameTokenizer(model.out, folder);
}

TEST(RunnerImport, IsRefusedWithOneSentenceAndTheExitCodeOfItsKind) {
  const auto folder = ModelFolder("llama3-mini");
  const GgufBytes weights = GgufOfFolder(folder);
  const auto with = [&](const std::vector<std::string>& merges, const std::string& pre) {
    GgufBytes file = weights;
    std::vector<std::string> tokens;
    for (int id = 0; id < 4096; ++id) tokens.push_back(fmt::format("t{}", id));
    AddText(file, "tokenizer.ggml.model", "gpt2");
    AddText(file, "tokenizer.ggml.pre", pre);
    AddTexts(file, "tokenizer.ggml.tokens", tokens);
    AddTexts(file, "tokenizer.ggml.merges", merges);
    return ModelFile(file.Bytes()).Import();
  };
  const ProgramResult absent = with({"t1 t2"}, "gpt-2");
  EXPECT_EQ(absent.exit_code, 3);
  EXPECT_THAT(absent.err, HasSubstr("merge 0 ('t1 t2') needs the token 't1t2', which is absent"));
  const ProgramResult unknown = with({}, "klingon");
  EXPECT_EQ(unknown.exit_code, 3);
  EXPECT_THAT(unknown.err,
              HasSubstr("tokenizer.ggml.pre 'klingon' is not supported; known: gpt-2"));
  const ProgramResult missing = CallProgramWith({"import", "/nowhere/x.gguf", "--out", "/tmp/x"});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.err, HasSubstr("/nowhere/x.gguf"));
}

}  // namespace
}  // namespace condense
