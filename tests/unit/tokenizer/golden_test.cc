// Ids and texts equal those of the reference tokenizers, for every stored string and every file
// format.
#include "unit/tokenizer/golden.h"

#include <iterator>
#include <sstream>

#include "base/sha256.h"
#include "base/strings.h"
#include "support/real_model.h"
#include "support/temp_folder.h"

namespace condense {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// Copies files into a folder of their own, so that only the format meant is there.
void CopyFiles(const fs::path& from, std::initializer_list<const char*> names, const fs::path& to) {
  for (const char* name : names) fs::copy_file(from / name, to / name);
}

constexpr const char* kOptConfig =
    R"({"add_bos_token": true, "add_prefix_space": false, "errors": "replace",
        "bos_token": {"__type": "AddedToken", "content": "</s>", "lstrip": false,
                      "normalized": true, "rstrip": false, "single_word": false},
        "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>",
        "tokenizer_class": "GPT2Tokenizer"})";

// A folder with the files of a full-size tokenizer.
std::unique_ptr<Tokenizer> LoadReal(const std::string& name) {
  const fs::path files = SharedFolder() / "data/tokenizers";
  TempFolder folder;
  if (name == "real_gpt2") {
    CopyFiles(files / "gpt2", {"vocab.json", "merges.txt"}, folder.path());
  } else if (name == "real_opt") {
    CopyFiles(files / "gpt2", {"merges.txt"}, folder.path());
    CopyFiles(files / "opt", {"vocab.json"}, folder.path());
    WriteText(folder.path() / "tokenizer_config.json", kOptConfig);
  } else {
    CopyFiles(files / name.substr(5), {"tokenizer.model"}, folder.path());
  }
  return LoadTokenizer(folder.path());
}

json Golden(const std::string& name) {
  return ReadJson(SharedFolder() / "golden/tokenizer" / (name + ".json"));
}

class TokenizerJsonGolden : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, TokenizerJsonGolden,
                         testing::Values("llama2-mini", "llama3-mini", "opt-mini", "stories260k"),
                         ModelName);

TEST_P(TokenizerJsonGolden, EveryStringEquals) {
  CONDENSE_SKIP_WITHOUT(SharedFolder() / "models" / GetParam());
  const auto tokenizer = LoadTokenizer(SharedFolder() / "models" / GetParam());
  const json golden = Golden(GetParam());
  ExpectEqualsGolden(*tokenizer, golden);
  EXPECT_EQ(tokenizer->size(), golden["length"]);
  EXPECT_EQ(tokenizer->bos(), golden["bos_token_id"]);
  EXPECT_EQ(tokenizer->eos(), golden["eos_token_id"]);
}

// A model that people have: single digits, then byte-level BPE.
TEST(SmolLmGolden, EveryStringEquals) {
  const fs::path golden = SharedFolder() / "golden/smollm2/tokenizer/smollm2-135m.json";
  CONDENSE_SKIP_WITHOUT(golden);
  CONDENSE_SKIP_WITHOUT(AnyModelFolder(kRealModel));
  const auto tokenizer = LoadTokenizer(AnyModelFolder(kRealModel));
  const json expected = ReadJson(golden);
  ExpectEqualsGolden(*tokenizer, expected);
  EXPECT_EQ(tokenizer->size(), expected["length"]);
  EXPECT_EQ(tokenizer->bos(), expected["bos_token_id"]);
  EXPECT_EQ(tokenizer->eos(), expected["eos_token_id"]);
}

class OlderFilesGolden : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, OlderFilesGolden,
                         testing::Values("llama2-mini", "stories260k", "opt-mini"), ModelName);

TEST_P(OlderFilesGolden, GiveTheIdsOfTokenizerJson) {
  const fs::path model = SharedFolder() / "models" / GetParam();
  CONDENSE_SKIP_WITHOUT(model);
  TempFolder folder;
  CopyFiles(model, {"tokenizer_config.json", "special_tokens_map.json"}, folder.path());
  if (fs::exists(model / "tokenizer.model")) {
    CopyFiles(model, {"tokenizer.model"}, folder.path());
  } else {
    CopyFiles(model, {"vocab.json", "merges.txt"}, folder.path());
  }
  const auto tokenizer = LoadTokenizer(folder.path());
  ExpectEqualsGolden(*tokenizer, Golden(GetParam()));
  EXPECT_EQ(tokenizer->size(), LoadTokenizer(model)->size());
  EXPECT_EQ(tokenizer->bos(), LoadTokenizer(model)->bos());
  EXPECT_EQ(tokenizer->eos(), LoadTokenizer(model)->eos());
}

TEST_P(OlderFilesGolden, NeedNoConfiguration) {
  const fs::path model = SharedFolder() / "models" / GetParam();
  CONDENSE_SKIP_WITHOUT(model);
  TempFolder folder;
  for (const char* name : {"tokenizer.model", "vocab.json", "merges.txt"}) {
    if (fs::exists(model / name)) CopyFiles(model, {name}, folder.path());
  }
  ExpectEqualsGolden(*LoadTokenizer(folder.path()), Golden(GetParam()));
}

class RealTokenizerGolden : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, RealTokenizerGolden,
                         testing::Values("real_llama3", "real_gpt2", "real_opt"), ModelName);

TEST_P(RealTokenizerGolden, EveryStringEquals) {
  CONDENSE_SKIP_WITHOUT(SharedFolder() / "data/tokenizers");
  const json golden = Golden(GetParam());
  const auto tokenizer = LoadReal(GetParam());
  ExpectEqualsGolden(*tokenizer, golden);
  EXPECT_EQ(tokenizer->bos(), golden["bos_token_id"]);
  EXPECT_EQ(tokenizer->eos(), golden["eos_token_id"]);
}

// The file's "ids" are those of the sentencepiece library, which does not parse special tokens and
// leaves them out in decoding; "ids_fast" and "decode_fast" are those of LlamaTokenizerFast, meant
// here.
TEST(RealTokenizerGolden, Llama2EqualsTheFastReference) {
  CONDENSE_SKIP_WITHOUT(SharedFolder() / "data/tokenizers");
  const json golden = Golden("real_llama2");
  const auto tokenizer = LoadReal("real_llama2");
  for (const json& row : golden["strings"]) {
    const std::string text = row["text"];
    SCOPED_TRACE(json(text).dump());
    const Ids plain = row.contains("ids_fast") ? row["ids_fast"].get<Ids>() : PlainIds(row);
    EXPECT_EQ(tokenizer->Encode(text, SpecialTokens::kNone), plain);
    EXPECT_EQ(tokenizer->Decode(PlainIds(row)), row.value("decode_fast", PlainText(row)));
    if (row.contains("decode_ids")) {
      EXPECT_EQ(tokenizer->Decode(row["ids"].get<Ids>(), {.skip_special = true}),
                row["decode_ids"]);
    }
    Ids with_bos = plain;
    with_bos.insert(with_bos.begin(), 1);
    EXPECT_EQ(tokenizer->Encode(text, SpecialTokens::kAdd), with_bos);
  }
  for (const json& row : golden["decode_fast"]) {
    SCOPED_TRACE(row["ids"].dump());
    EXPECT_EQ(tokenizer->Decode(row["ids"].get<Ids>()), row["text"]);
    EXPECT_EQ(tokenizer->Decode(row["ids"].get<Ids>(), {.skip_special = true}),
              row["skip_special"]);
  }
  EXPECT_EQ(tokenizer->size(), golden["vocab_size"]);
}

struct StoredCases {
  const char* file;
  const char* tokenizer;
};

class StoredCasesTest : public testing::TestWithParam<StoredCases> {};
INSTANTIATE_TEST_SUITE_P(Tokenizers, StoredCasesTest,
                         testing::Values(StoredCases{"llama-spm", "real_llama2"},
                                         StoredCases{"llama-bpe", "real_llama3"},
                                         StoredCases{"gpt-2", "real_gpt2"}),
                         [](const auto& info) { return std::string(info.param.tokenizer); });

TEST_P(StoredCasesTest, EveryCaseEquals) {
  const fs::path cases = SharedFolder() / "data/tokenizers/cases";
  CONDENSE_SKIP_WITHOUT(cases);
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  const std::string name = GetParam().file;
  std::string texts = ReadBytes(cases / (name + ".inp"));
  const std::vector<std::string> rows = Split(ReadBytes(cases / (name + ".out")), '\n');
  const auto tokenizer = LoadReal(GetParam().tokenizer);
  ASSERT_EQ(rows.size(), 47u);
  for (const std::string& row : rows) {
    const size_t end = std::min(texts.find(kSeparator), texts.size());
    const std::string text = texts.substr(0, end);
    texts.erase(0, end + kSeparator.size());
    std::istringstream numbers(row);
    const Ids expected{std::istream_iterator<TokenId>(numbers), {}};
    EXPECT_EQ(tokenizer->Encode(text, SpecialTokens::kNone), expected) << json(text).dump();
  }
  EXPECT_TRUE(texts.empty());
}

// The rows of WikiText-2 as the papers join them (protocols.md 1.1).
std::string WikiTextTest() {
  std::vector<std::string> rows =
      Split(ReadBytes(SharedFolder() / "data/text/wikitext2/test.txt"), '\n');
  if (rows.back().empty()) rows.pop_back();
  for (std::string& row : rows) row = Trim(row).empty() ? "" : row + "\n";
  return Join(rows, "\n\n");
}

TEST(WikiText2, TokenCountsAreThoseOfThePapers) {
  CONDENSE_SKIP_WITHOUT(SharedFolder() / "data/text/wikitext2/test.txt");
  const std::string text = WikiTextTest();
  ASSERT_EQ(Sha256Hex(text), "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83");
  const auto count = [&](const char* name) {
    return LoadReal(name)->Encode(text, SpecialTokens::kAdd).size();
  };
  EXPECT_EQ(count("real_opt"), 287645u);
  EXPECT_EQ(count("real_llama2"), 341469u);
  EXPECT_EQ(count("real_llama3"), 289077u);
}

}  // namespace
}  // namespace condense
