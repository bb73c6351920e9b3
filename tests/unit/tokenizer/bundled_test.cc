// The bundled checkpoints' tokenizers equal the reference, with nothing but what the repository
// holds.
#include "unit/tokenizer/golden.h"

namespace condense {
namespace {

using nlohmann::json;

class BundledTokenizer : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, BundledTokenizer,
                         testing::Values("llama2-mini", "llama3-mini", "opt-mini"), ModelName);

TEST_P(BundledTokenizer, EveryStringEquals) {
  const auto model = SourceFolder() / "configs/bundled/models" / GetParam();
  CONDENSE_SKIP_WITHOUT(model);
  const auto goldens = SourceFolder() / "tests/golden/tokenizer";
  const json strings = ReadJson(goldens / "strings.json")["strings"];
  json golden = ReadJson(goldens / (std::string(GetParam()) + ".json"));
  ASSERT_EQ(strings.size(), golden["ids"].size());
  // The compact copy in the form of the development goldens.
  for (size_t i = 0; i < strings.size(); ++i) {
    const std::string number = std::to_string(i);
    json row = {{"text", strings[i]}, {"ids", golden["ids"][i]}, {"bos", true}};
    row["decode_plain"] = golden["decode_plain"].value(number, json());
    if (golden["decode_skip_special"].contains(number)) {
      row["decode_skip_special"] = golden["decode_skip_special"][number];
    }
    golden["strings"].push_back(std::move(row));
  }
  const auto tokenizer = LoadTokenizer(model);
  ExpectEqualsGolden(*tokenizer, golden);
  EXPECT_EQ(tokenizer->size(), golden["source"]["length"]);
  EXPECT_EQ(tokenizer->bos(), golden["source"]["bos_token_id"]);
  EXPECT_EQ(tokenizer->eos(), golden["source"]["eos_token_id"]);
}

}  // namespace
}  // namespace condense
