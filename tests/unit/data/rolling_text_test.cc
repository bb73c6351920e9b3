#include "data/protocols/rolling_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/shared_data.h"
#include "unit/data/byte_tokenizer.h"
#include "unit/data/error_text.h"

namespace condense {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(WikiTextPages, BeginAtTitlesAndKeepEveryLine) {
  EXPECT_THAT(WikiTextPages(" \n = A = \n \n a\n = = B = = \n b\n = C d = \n c\n"),
              ElementsAre(" = A = \n \n a\n = = B = = \n b", " = C d = \n c\n"));
  EXPECT_THAT(WikiTextPages("before\n = A = "), ElementsAre("before", " = A = "));
  EXPECT_THAT(WikiTextPages("no title"), ElementsAre("no title"));
}

// Each line: what it shows, the original, the result. Results by the harness's own function.
TEST(WikiTextDetokenised, UndoesTheTokenisationOfWikiText) {
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"a 1 @,@ 000 @.@ 5 m well @-@ known", "a 1,000.5 m well-known"},
      {"one , two ; three : four . Five ! Six ? ", "one, two; three: four. Five! Six? "},
      {"( a b ) [ c ] {  d\t} (e)", "(a b) [c] {d} (e)"},
      {"( a ( b ) c )", "(a ( b) c )"},
      {"(  ) ( open", "() ( open"},
      {"\" a \" b \" c \"", "\"a\" b \"c\""},
      {"the dogs ' house ' s ' end", "the dogs'house' s' end"},
      {" = = = Deep = = = \n = = A = = ", " === Deep ===\n== A == "},
      {"= = = =", "===="},
      {"5 \u00B0 C", "5\u00B0C"},
      {"a \n b\n c", "a\nb\nc"},
      {"an N of N ", "an 1 of 1 "},
      {"the ship 's bell", "the ship's bell"},
      {"(\u00A0x\u2003)", "(x)"},
  };
  for (const auto& [page, expected] : pairs) EXPECT_EQ(WikiTextDetokenised(page), expected) << page;
}

TEST(WikiTextPieces, CountTheEmptyOnesAtBothEnds) {
  EXPECT_EQ(PiecesOf(""), 1);
  EXPECT_EQ(PiecesOf("a"), 1);
  EXPECT_EQ(PiecesOf(" = A = \n\n a\n"), 6);
  EXPECT_EQ(PiecesOf("a\u00A0b\u200Bc"), 2);
}

std::vector<TokenId> Count(TokenId n) {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < n; ++i) ids.push_back(100 + i);
  return ids;
}

TEST(RollingWindows, ScoreEveryIdOnceAfterAsMuchContextAsFits) {
  const std::vector<TokenId> ids = Count(10);
  const auto windows = RollingWindows(ids, 1, 4);
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_THAT(windows[0].Input(), ElementsAre(1, 100, 101, 102));
  EXPECT_THAT(windows[0].continuation, ElementsAre(100, 101, 102, 103));
  EXPECT_THAT(windows[1].Input(), ElementsAre(103, 104, 105, 106));
  EXPECT_THAT(windows[1].continuation, ElementsAre(104, 105, 106, 107));
  // Two are left: the input is full nevertheless.
  EXPECT_THAT(windows[2].head, ElementsAre(105, 106, 107));
  EXPECT_THAT(windows[2].Input(), ElementsAre(105, 106, 107, 108));
  EXPECT_THAT(windows[2].continuation, ElementsAre(108, 109));
}

TEST(RollingWindows, OfEveryLengthPutTogetherAreThePage) {
  for (TokenId n = 0; n < 14; ++n) {
    for (int64_t longest = 1; longest < 6; ++longest) {
      const std::vector<TokenId> ids = Count(n);
      std::vector<TokenId> scored;
      for (const EncodedRequest& window : RollingWindows(ids, 1, longest)) {
        scored.insert(scored.end(), window.continuation.begin(), window.continuation.end());
        EXPECT_LE(static_cast<int64_t>(window.Input().size()), longest);
        EXPECT_GE(window.head.size(), 1u);
      }
      EXPECT_EQ(scored, ids) << n << " " << longest;
    }
  }
}

class RollingTextTest : public ::testing::Test {
 protected:
  RollingText Make(const std::string& rest, const std::string& text = " = A = \n ab\n") {
    return RollingFromCorpus(
        ReadPerplexityProtocol(
            "p", Node::ParseText("{family: rolling, corpus: c, split: s, " + rest + "}", "p.yaml")),
        {"c", "s", text, "00"}, tokenizer_);
  }
  ByteTokenizer tokenizer_;
};

TEST_F(RollingTextTest, CountsTheOriginalAndEncodesTheDetokenised) {
  const RollingText text = Make("prefix: bos-or-eos");
  ASSERT_EQ(text.pages.size(), 1u);
  EXPECT_EQ(tokenizer_.Decode(text.pages[0].ids, {}), " = A =\nab\n");
  EXPECT_EQ(text.words(), 6);
  EXPECT_EQ(text.bytes(), 12);
  EXPECT_EQ(text.prefix, ByteTokenizer::kBos);
}

TEST_F(RollingTextTest, PrefixAndSpecialTokensAreTheProtocols) {
  EXPECT_EQ(Make("prefix: eos").prefix, ByteTokenizer::kEos);
  EXPECT_EQ(Make("prefix: bos-or-eos, special: add").pages[0].ids.front(), ByteTokenizer::kBos);
  tokenizer_.has_bos = false;
  EXPECT_EQ(Make("prefix: bos-or-eos").prefix, ByteTokenizer::kEos);
}

TEST_F(RollingTextTest, RefusesATextWithoutIds) {
  EXPECT_THAT(ErrorText<DataError>([&] { Make("prefix: eos", ""); }), HasSubstr("no ids to score"));
}

TEST(WikiText2Rolling, HasThePublishedPagesWordsAndBytes) {
  const auto folder = SharedFolder() / "data/text";
  CONDENSE_SKIP_WITHOUT(folder / "wikitext2/test.txt");
  const ByteTokenizer bytes;
  const RollingText text = RollingFromProtocol(LoadPerplexityProtocol("wikitext-lmeval-word"),
                                               bytes, DataRoots::Default({folder}));
  EXPECT_EQ(text.pages.size(), 62u);
  EXPECT_EQ(text.words(), 241335);
  EXPECT_EQ(text.bytes(), 1290527);
}

TEST(CorpusText, RefusesSplitsThatTakeAPartOfTheirFiles) {
  EXPECT_THAT(ErrorText<ConfigError>(
                  [] { LoadCorpusText("bundled-articles", "evaluation", DataRoots::Default()); }),
              HasSubstr("takes only a part of its files"));
}

}  // namespace
}  // namespace condense
