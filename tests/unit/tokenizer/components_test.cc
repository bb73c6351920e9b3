// Every part of tokenizer.json, and whole tokenizers of them, equal the library tokenizers:
// tests/golden/tokenizer_components.
#include <deque>

#include "base/sha256.h"
#include "support/temp_folder.h"
#include "tokenizer/components/byte_alphabet.h"
#include "tokenizer/components/decoder.h"
#include "tokenizer/components/normalizer.h"
#include "tokenizer/components/pre_tokenizer.h"
#include "unit/tokenizer/golden.h"

namespace condense {
namespace {

using nlohmann::json;

json Golden(const char* name) {
  return ReadJson(SourceFolder() / "tests/golden/tokenizer_components" / name);
}

std::vector<std::string> WordsOf(const PreTokenizer& pre_tokenizer, const std::string& text) {
  std::vector<Word> words = {{text, true}};
  if (text.empty()) words.clear();  // as in a tokenizer
  std::deque<std::string> storage;
  pre_tokenizer.Apply(words, storage);
  std::vector<std::string> spelled;
  for (const Word& word : words) {
    spelled.push_back(pre_tokenizer.byte_level() ? EncodeBytes(word.text) : std::string(word.text));
  }
  return spelled;
}

TEST(Components, PreTokenizersGiveTheWordsOfTheLibrary) {
  const json golden = Golden("pre_tokenizers.json");
  for (const json& row : golden["cases"]) {
    SCOPED_TRACE(row["part"].dump());
    const PreTokenizer pre_tokenizer = ReadPreTokenizer(JsonNode(&row["part"], "test"));
    for (size_t i = 0; i < golden["texts"].size(); ++i) {
      auto words = row["words"][i].get<std::vector<std::string>>();
      std::erase(words, "");  // of an empty text that is not split
      EXPECT_EQ(WordsOf(pre_tokenizer, golden["texts"][i]), words) << golden["texts"][i].dump();
    }
  }
}

TEST(Components, NormalizersGiveTheTextOfTheLibrary) {
  const json golden = Golden("normalizers.json");
  for (const json& row : golden["cases"]) {
    SCOPED_TRACE(row["part"].dump());
    const Normalizer normalizer = ReadNormalizer(JsonNode(&row["part"], "test"));
    for (size_t i = 0; i < golden["texts"].size(); ++i) {
      EXPECT_EQ(normalizer.Apply(golden["texts"][i].get<std::string>()), row["results"][i])
          << golden["texts"][i].dump();
    }
  }
}

TEST(Components, DecodersGiveTheTextOfTheLibrary) {
  const json golden = Golden("decoders.json");
  for (const json& row : golden["cases"]) {
    SCOPED_TRACE(row["part"].dump());
    const Decoder decoder = ReadDecoder(JsonNode(&row["part"], "test"));
    for (size_t i = 0; i < golden["tokens"].size(); ++i) {
      EXPECT_EQ(decoder.Decode(golden["tokens"][i].get<std::vector<std::string>>()),
                row["results"][i])
          << golden["tokens"][i].dump();
    }
  }
}

// The pre-tokenizers of models that tokenizer.ggml.pre of GGUF files names, on all stored strings.
TEST(Components, PreTokenizersOfModelsGiveTheWordsOfTheLibrary) {
  const auto goldens = SourceFolder() / "tests/golden";
  const json names = ReadJson(goldens / "gguf_pre_tokenizers/names.json")["names"];
  const json texts = ReadJson(goldens / "tokenizer/strings.json")["strings"];
  for (const auto& [name, golden] : names.items()) {
    const PreTokenizer pre_tokenizer = ReadPreTokenizer(JsonNode(&golden["pre_tokenizer"], "test"));
    Normalizer normalizer;
    if (!golden["normalizer"].is_null()) {
      normalizer = ReadNormalizer(JsonNode(&golden["normalizer"], "test"));
    }
    json words = json::array();
    size_t count = 0;
    for (const json& text : texts) {
      words.push_back(WordsOf(pre_tokenizer, normalizer.Apply(text.get<std::string>())));
      count += words.back().size();
    }
    EXPECT_EQ(count, golden["words"]) << name;
    EXPECT_EQ(Sha256Hex(words.dump()), golden["sha256"]) << name;
  }
}

TEST(Components, WholeTokenizersGiveTheIdsAndTextsOfTheLibrary) {
  const json golden = Golden("pipelines.json");
  for (const json& row : golden["cases"]) {
    SCOPED_TRACE(row["name"].get<std::string>());
    json file = row["parts"];
    file["model"] = golden["models"][row["model"].get<std::string>()];
    TempFolder folder;
    WriteText(folder.path() / "tokenizer.json", file.dump());
    const auto tokenizer = LoadTokenizer(folder.path());
    for (size_t i = 0; i < golden["texts"].size(); ++i) {
      const std::string text = golden["texts"][i];
      const Ids ids = row["ids"][i].get<Ids>();
      EXPECT_EQ(tokenizer->Encode(text, SpecialTokens::kAdd), ids) << json(text).dump();
      EXPECT_EQ(tokenizer->Decode(ids, {.skip_special = true}),
                row["decoded"].value(std::to_string(i), text))
          << json(text).dump();
    }
    for (const json& drawn : row["drawn"]) {
      EXPECT_EQ(tokenizer->Decode(drawn["ids"].get<Ids>()), drawn["text"]) << drawn["ids"].dump();
    }
  }
}

}  // namespace
}  // namespace condense
