// Each name of tokenizer.ggml.pre has the pre-tokenizer and normalizer of the model it is named after:
// tests/golden/gguf_pre_tokenizers, whose words tests/unit/tokenizer compares.
#include "model/stored/gguf/gguf_pre_tokenizers.h"

#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "support/shared_data.h"

namespace condense {
namespace {

using nlohmann::json;

TEST(GgufPreTokenizers, AreThoseOfTheModels) {
  const auto path = SourceFolder() / "tests/golden/gguf_pre_tokenizers/names.json";
  const json names = json::parse(std::ifstream(path)).at("names");
  std::vector<std::string> known;
  for (const auto& [name, golden] : names.items()) {
    SCOPED_TRACE(name);
    known.push_back(name);
    const GgufPreTokenizer* pre = FindGgufPreTokenizer(name);
    ASSERT_NE(pre, nullptr);
    EXPECT_EQ(PreTokenizerJson(*pre), golden.at("pre_tokenizer"));
    const json normalizer = pre->nfc ? json{{"type", "NFC"}} : json();
    EXPECT_EQ(normalizer, golden.at("normalizer"));
  }
  EXPECT_THAT(GgufPreTokenizerNames(), testing::UnorderedElementsAreArray(known));
  EXPECT_EQ(FindGgufPreTokenizer("gpt-3"), nullptr);
}

}  // namespace
}  // namespace condense
