#include "data/tasks/task_filters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "config/fields.h"
#include "data/tasks/task_template.h"
#include "unit/data/error_text.h"

namespace condense {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Capitalized, RaisesTheFirstCodePointAndLowersTheRest) {
  EXPECT_EQ(Capitalized(""), "");
  EXPECT_EQ(Capitalized("the MAN"), "The man");
  EXPECT_EQ(Capitalized(" The MAN"), " the man");
  EXPECT_EQ(Capitalized("ÉCOLE Ünï"), "École ünï");
}

// What Python's str.capitalize gives.
TEST(Capitalized, FollowsUnicodeWhereLettersBecomeSeveral) {
  EXPECT_EQ(Capitalized("ßtrasse"), "Sstrasse");
  EXPECT_EQ(Capitalized("ǆODOS"), "ǅodos");
  EXPECT_EQ(Capitalized("ﬁRST"), "First");
  EXPECT_EQ(Capitalized("İDEA İ"), "İdea i\xCC\x87");
  EXPECT_EQ(Capitalized("ΣΑΣ ΌΔΟΣ Σ"), "Σας όδος σ");
}

TEST(HellaSwagCleaned, FollowsTheRulesInTheirOrder) {
  EXPECT_EQ(HellaSwagCleaned("How to x [header] Do it [title] Now [step] then   go"),
            "How to x Do it. Now then  go");
  EXPECT_EQ(HellaSwagCleaned("  [title] a  "), " a");
  EXPECT_EQ(HellaSwagCleaned("a [title] b"), "a. b");
  EXPECT_EQ(HellaSwagCleaned("a[b]c[]d]e"), "acd]e");
  EXPECT_EQ(HellaSwagCleaned("a [b\nc] d [e"), "a [b\nc] d [e");
  EXPECT_EQ(HellaSwagCleaned("[a [b] c]"), " c]");
  EXPECT_EQ(HellaSwagCleaned("a    b"), "a  b");
}

TEST(MathQaOptions, AreReadFromLeftToRight) {
  EXPECT_THAT(MathQaOptions("a ) 38 , b ) 27.675 , c ) 30 , d ) data inadequate , e ) none"),
              ElementsAre("38", "27.675", "30", "data inadequate", "none"));
  EXPECT_THAT(MathQaOptions("a ) 1 , 000 , e ) 1 , 000 , "), ElementsAre("1", "1 , 000"));
  EXPECT_THAT(MathQaOptions("a ) 5 b ) 6, c"), ElementsAre("5 b ) 6"));
  EXPECT_THAT(MathQaOptions("e ) 1\n"), ElementsAre("1"));
  EXPECT_THAT(MathQaOptions("e ) 1\n2"), IsEmpty());
  EXPECT_THAT(MathQaOptions("a ) 1\n, b ) 2, "), ElementsAre("2"));
  EXPECT_THAT(MathQaOptions(""), IsEmpty());
}

TEST(Words, AreWhatSpacesPart) {
  EXPECT_EQ(ApplyFilter(TaskFilter::kButLastWord, "a  b\tc d"), "a  b\tc");
  EXPECT_EQ(ApplyFilter(TaskFilter::kLastWord, "a  b\tc"), "b\tc");
  EXPECT_EQ(ApplyFilter(TaskFilter::kButLastWord, "alone"), "");
  EXPECT_EQ(ApplyFilter(TaskFilter::kLastWord, "alone"), "alone");
}

TEST(Blank, IsTheFirstUnderscore) {
  EXPECT_EQ(ApplyFilter(TaskFilter::kBeforeBlank, "so _ and _."), "so ");
  EXPECT_EQ(ApplyFilter(TaskFilter::kAfterBlank, "so _ and _."), " and _.");
  EXPECT_THROW(ApplyFilter(TaskFilter::kBeforeBlank, "none"), DataError);
}

TEST(RecordPath, ReachesIntoListsAndObjects) {
  const json record = json::parse(R"({"q": {"stem": " why ", "c": [{"t": "x"}, {"t": 7}]},
                                      "flag": true, "half": 0.5})");
  EXPECT_EQ(RecordPath::Parse("q.stem").Text(record, "f:1"), " why ");
  EXPECT_EQ(RecordPath::Parse("q.stem | strip | capitalize").Text(record, "f:1"), "Why");
  EXPECT_THAT(RecordPath::Parse("q.c[].t").Texts(record, "f:1"), ElementsAre("x", "7"));
  EXPECT_EQ(RecordPath::Parse("flag").Text(record, "f:1"), "true");
  EXPECT_FALSE(RecordPath::Parse("q.c[].u").FitsRecord(record));
  EXPECT_FALSE(RecordPath::Parse("q.stem[]").FitsRecord(record));
  EXPECT_FALSE(RecordPath::Parse("flag.x").FitsRecord(record));
  EXPECT_EQ(ErrorText<DataError>([&] { RecordPath::Parse("half").Text(record, "f:1"); }),
            "f:1: half is 0.5; expected text (write the number in quotes, as it should be read)");
  EXPECT_EQ(ErrorText<DataError>([&] { RecordPath::Parse("q").Text(record, "f:1"); }),
            "f:1: q is object; expected text");
}

TEST(RecordPath, RefusesWhatItCannotFollow) {
  for (const char* text : {"", "a..b", "a[0]", "[]", "a.{b}"}) {
    EXPECT_THROW(RecordPath::Parse(text), ConfigError) << text;
  }
  EXPECT_THAT(ErrorText<ConfigError>([] { RecordPath::Parse("a|capitalise"); }),
              HasSubstr("unknown filter 'capitalise'; did you mean 'capitalize'?"));
  EXPECT_THAT(ErrorText<ConfigError>([] { RecordPath::Parse("a|mathqa_options|strip"); }),
              HasSubstr("has to be the last"));
}

TEST(TextTemplate, PutsValuesBetweenLiterals) {
  const json record = json::parse(R"({"a": "{x}", "b": {"c": "Y "}})");
  const auto render = [&](const char* text) {
    return TextTemplate::Parse(text).Render(record, "Z", "f:1");
  };
  EXPECT_EQ(render("{{{a}}} {b.c|strip}{choice}!"), "{{x}} YZ!");
  EXPECT_EQ(render("plain"), "plain");
}

TEST(TextTemplate, TakesTheNamesOfAForm) {
  const json record = json::parse(R"({"q": {"stem": " why "}})");
  const RecordNames names{{"question", RecordPath::Parse("q.stem|strip")}};
  const TextTemplate resolved = TextTemplate::Parse("{question|capitalize}?").Resolved(names);
  EXPECT_EQ(resolved.Render(record, "", "f:1"), "Why?");
}

TEST(TextTemplate, RefusesUnbalancedBracesAndLists) {
  for (const char* text : {"{a", "a}", "{}", "{a[]}", "{a|mathqa_options}", "{a|nosuch}"}) {
    EXPECT_THROW(TextTemplate::Parse(text), ConfigError) << text;
  }
}

}  // namespace
}  // namespace condense
