// Settings files that disagree are named in a warning, once.
#include "support/temp_folder.h"
#include "unit/tokenizer/golden.h"

namespace condense {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

// A tokenizer of two characters, which puts <s> in front of a text.
json TokenizerFile() {
  return json::parse(R"({
    "added_tokens": [{"id": 2, "content": "<s>", "special": true},
                     {"id": 3, "content": "</s>", "special": true}],
    "post_processor": {
      "type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                 {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [2], "tokens": ["<s>"]}}},
    "model": {"type": "BPE", "vocab": {"a": 0, "<unk>": 1}, "merges": []}})");
}

std::string WarningsOf(const json& files) {
  TempFolder folder;
  WriteText(folder.path() / "tokenizer.json", TokenizerFile().dump());
  for (const auto& [name, content] : files.items()) WriteText(folder.path() / name, content.dump());
  testing::internal::CaptureStderr();
  LoadTokenizer(folder.path());
  return testing::internal::GetCapturedStderr();
}

const json kNames = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};

json Config(const char* name, const json& more = json::object()) {
  json config = kNames;
  config["tokenizer_class"] = name;
  config.update(more);
  return {{"tokenizer_config.json", config}};
}

TEST(Disagreement, IsNotSeenWhereFilesAgree) {
  json files = Config("LlamaTokenizer");
  files["special_tokens_map.json"] = kNames;
  files["config.json"] = {{"bos_token_id", 2}, {"eos_token_id", 3}};
  EXPECT_THAT(WarningsOf(files), IsEmpty());
  EXPECT_THAT(WarningsOf(Config("PreTrainedTokenizerFast", {{"add_bos_token", true}})), IsEmpty());
  EXPECT_THAT(WarningsOf(json::object()), IsEmpty());
}

TEST(Disagreement, OfNamesSaysWhichFileHolds) {
  json files = Config("LlamaTokenizer", {{"add_bos_token", false}});
  files["special_tokens_map.json"] = {{"eos_token", "<s>"}};
  const std::string message =
      "eos_token is \"</s>\" in tokenizer_config.json and \"<s>\" in special_tokens_map.json; ";
  EXPECT_THAT(WarningsOf(files), HasSubstr(message + "special_tokens_map.json holds\n"));
  EXPECT_THAT(WarningsOf(files), IsEmpty());  // once in a process
  files["tokenizer_config.json"]["added_tokens_decoder"] = json::object();
  EXPECT_THAT(WarningsOf(files), HasSubstr(message + "tokenizer_config.json holds, as it has"));
}

TEST(Disagreement, OfWhatIsPutAroundATextSaysByWhatTheClassGoes) {
  EXPECT_THAT(WarningsOf(Config("LlamaTokenizer", {{"add_eos_token", true}})),
              HasSubstr("tokenizer.json puts \"<s>\" in front of a text and nothing after it, but "
                        "LlamaTokenizer goes by tokenizer_config.json: \"<s>\" and \"</s>\"\n"));
  EXPECT_THAT(WarningsOf(Config("PreTrainedTokenizerFast", {{"add_bos_token", false}})),
              HasSubstr("tokenizer_config.json: add_bos_token is false, but "
                        "PreTrainedTokenizerFast goes by tokenizer.json, which puts \"<s>\" in "
                        "front of a text\n"));
  EXPECT_THAT(WarningsOf(Config("Qwen2Tokenizer", {{"add_eos_token", true}})),
              HasSubstr("add_eos_token is true, but Qwen2Tokenizer goes by tokenizer.json, which "
                        "puts nothing after a text\n"));
}

TEST(Disagreement, OfIdsSaysWhichATokenHas) {
  json decoder = {{"9", {{"content", "</s>"}, {"special", true}}},
                  {"7", {{"content", "<x>"}, {"special", true}}}};
  const std::string said =
      WarningsOf(Config("PreTrainedTokenizerFast", {{"added_tokens_decoder", decoder}}));
  EXPECT_THAT(said, HasSubstr("added_tokens_decoder.9: \"</s>\" has the id 3, not 9\n"));
  EXPECT_THAT(said, HasSubstr("added_tokens_decoder.7: \"<x>\" is not in the vocabulary and gets "
                              "the id 4, not 7\n"));
  EXPECT_THAT(
      WarningsOf(Config("LlamaTokenizer", {{"bos_token", "<bos>"}})),
      HasSubstr("bos_token: \"<bos>\" is not in the vocabulary and gets the id 4, for which "
                "the model may have no embedding\n"));
}

TEST(Disagreement, AClassThatIsNotKnownIsNamed) {
  EXPECT_THAT(WarningsOf(Config("MadeUpTokenizer")),
              HasSubstr("the tokenizer_class 'MadeUpTokenizer' is not known"));
}

}  // namespace
}  // namespace condense
