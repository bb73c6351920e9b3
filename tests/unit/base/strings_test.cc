#include "base/strings.h"

#include <gmock/gmock.h>

namespace condense {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Split, KeepsEmptyPieces) { EXPECT_THAT(Split("a,,b,", ','), ElementsAre("a", "", "b", "")); }

TEST(NearestName, FindsSlipsOnly) {
  const std::vector<std::string> names{"modegpt", "slicegpt", "shortgpt"};
  EXPECT_EQ(NearestName("modgpt", names), "modegpt");
  EXPECT_EQ(NearestName("slcegpt", names), "slicegpt");
  EXPECT_EQ(NearestName("slicegtp", names), "slicegpt");
  EXPECT_EQ(NearestName("wanda", names), std::nullopt);
  EXPECT_THAT(SuggestName("wanda", names), HasSubstr("known: modegpt, shortgpt, slicegpt"));
}

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_EQ(InvalidUtf8At("héllo €𝄞"), std::nullopt);
  EXPECT_EQ(InvalidUtf8At("ab\xff"), 2u);
  EXPECT_EQ(InvalidUtf8At("a\xe2\x82"), 1u);     // cut off
  EXPECT_EQ(InvalidUtf8At("\xed\xa0\x80"), 0u);  // a surrogate
  EXPECT_EQ(InvalidUtf8At("\xc0\x80"), 0u);      // overlong
}

TEST(Utf8, ReplacesOnePerMaximalInvalidPrefix) {
  const std::string_view text =
      "\xe2\x82"
      "A\xf0\x9f\x98";
  size_t position = 0;
  EXPECT_EQ(NextCodePoint(text, position), U'\uFFFD');
  EXPECT_EQ(NextCodePoint(text, position), U'A');
  EXPECT_EQ(NextCodePoint(text, position), U'\uFFFD');
  EXPECT_EQ(position, text.size());
}

TEST(Utf8, CountsCodePointsNotGraphemes) {
  EXPECT_EQ(CodePointCount("\U0001F600"), 1u);
  EXPECT_EQ(CodePointCount("e\u0301"), 2u);
}

TEST(Numbers, AreReadable) {
  EXPECT_EQ(GroupThousands(6738415616), "6,738,415,616");
  EXPECT_EQ(GroupThousands(-1234), "-1,234");
  EXPECT_EQ(GroupThousands(12), "12");
  EXPECT_EQ(HumanBytes(1610612736), "1.50 GiB");
  EXPECT_EQ(HumanDuration(3840), "1 h 04 min");
}

}  // namespace
}  // namespace condense
