// Small folders made after public reports, with the ids that AutoTokenizer of transformers gives.
#include <fstream>

#include "unit/tokenizer/golden.h"

namespace condense {
namespace {

using nlohmann::json;

std::vector<json> Lines(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(json::parse(line));
  return lines;
}

class ReportedCase : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Folders, ReportedCase,
                         testing::Values("pre_digits", "norm_nfc", "bytelevel_prefix_space_absent",
                                         "added_token_flags_spm", "llama_class_default_bos",
                                         "generic_class_add_bos_false",
                                         "llama_add_prefix_space_false",
                                         "pad_token_outside_vocabulary"),
                         [](const auto& info) { return TestName(info.param); });

TEST_P(ReportedCase, EveryLineEquals) {
  const auto folder = SharedFolder() / "cases" / GetParam();
  CONDENSE_SKIP_WITHOUT(folder);
  const auto texts = Lines(folder / "input.jsonl"), ids = Lines(folder / "expected.jsonl");
  ASSERT_EQ(texts.size(), ids.size());
  const auto tokenizer = LoadTokenizer(folder / "model");
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer->Encode(texts[i].get<std::string>(), SpecialTokens::kAdd),
              ids[i].get<Ids>())
        << texts[i].dump();
  }
}

}  // namespace
}  // namespace condense
