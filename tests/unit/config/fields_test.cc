#include "config/fields.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "base/error.h"

namespace condense {

namespace {
enum class Match { kNominal, kBlock, kTotalAbs };

// A number, or {max: number}: a type with its own syntax.
struct Epsilon {
  std::optional<double> fixed;
  double max = 0.8;
};
}  // namespace

template <>
struct EnumNames<Match> {
  static constexpr std::array names{std::pair{Match::kNominal, "nominal"},
                                    std::pair{Match::kBlock, "block"},
                                    std::pair{Match::kTotalAbs, "total_abs"}};
};

template <>
struct FieldType<Epsilon> {
  static void Read(const Node& node, Epsilon& value, Problems& problems) {
    if (node.IsMap() && node.entries().size() == 1 && node.Find("max") != nullptr) {
      value.fixed.reset();
      if (const auto max = ReadDouble(*node.Find("max"), problems)) value.max = *max;
    } else if (const auto fixed = ReadDouble(node, problems)) {
      value.fixed = *fixed;
    }
  }
  static std::string Canonical(const Epsilon& value) {
    if (value.fixed) return JsonNumber(*value.fixed);
    return "{\"max\":" + JsonNumber(value.max) + "}";
  }
  static std::string TypeName() { return "number or {max: number}"; }
};

namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Inner {
  int width = 8;
  bool carry = true;
  template <class V>
  void Fields(V&& field) {
    field("width", width, "kept widths are multiples of this", Range::AtLeast(1));
    field("carry", carry, "carry the rounding error");
  }
};

struct Outer {
  std::string title;
  double ratio = 0.2;
  int64_t steps = 3;
  uint64_t seed = 42;
  bool verbose = false;
  Match match = Match::kBlock;
  std::vector<double> ratios{0.1, 0.2};
  std::vector<Match> matches;
  std::optional<int> rank;
  std::map<std::string, int> weights;
  Inner inner{16};
  std::vector<Inner> list;
  std::optional<Inner> maybe;
  Epsilon epsilon;
  Node later;

  template <class V>
  void Fields(V&& field) {
    field("title", title, "heading of the table", Required{}, NonEmpty{});
    field("ratio", ratio, "share to remove", Range{0, 1}.OpenAbove());
    field("steps", steps, "number of steps", Range::AtLeast(0));
    field("seed", seed, "seed of the generator");
    field("verbose", verbose, "say more");
    field("match", match, "what is matched");
    field("ratios", ratios, "all ratios", Range{0, 1}.OpenAbove(), NonEmpty{});
    field("matches", matches, "several");
    field("rank", rank, "fixed rank", Range::Above(0));
    field("weights", weights, "weight of each module", Range{0, 10});
    field("inner", inner, "widths");
    field("list", list, "several widths");
    field("maybe", maybe, "optional widths");
    field("epsilon", epsilon, "temperature");
    field("later", later, "read by somebody else");
  }
  void Validate(const Node& at, Problems& problems) const {
    if (rank && steps == 0) problems.Add(at, "a rank needs steps");
  }
};

Outer Read(std::string_view text) { return ReadStruct<Outer>(Node::ParseText(text, "t.yaml")); }

std::string ErrorOf(std::string_view text) {
  try {
    Read(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

// The message for `key: value`, without its place.
std::string ErrorAt(const std::string& key, const std::string& value) {
  const std::string message = ErrorOf("title: x\n" + key + ": " + value);
  const std::string place = "t.yaml:2:" + std::to_string(key.size() + 3) + ": " + key + ": ";
  return message.starts_with(place) ? message.substr(place.size()) : message;
}

TEST(Fields, ReadEveryType) {
  const Outer outer = Read(R"(
title: A table
ratio: 0.25
steps: 5
seed: 18446744073709551615
verbose: true
match: total_abs
ratios: [0, 1e-3, .5]
matches: [nominal, "block"]
rank: 4
weights: {mlp: 1, qk: 2}
inner: {width: 4}
list: [{carry: false}, {}]
maybe: {width: 2}
epsilon: {max: 0.5}
later: {anything: [goes]}
)");
  EXPECT_EQ(outer.title, "A table");
  EXPECT_EQ(outer.ratio, 0.25);
  EXPECT_EQ(outer.steps, 5);
  EXPECT_EQ(outer.seed, 18446744073709551615u);
  EXPECT_TRUE(outer.verbose);
  EXPECT_EQ(outer.match, Match::kTotalAbs);
  EXPECT_THAT(outer.ratios, ElementsAre(0, 1e-3, 0.5));
  EXPECT_THAT(outer.matches, ElementsAre(Match::kNominal, Match::kBlock));
  EXPECT_EQ(outer.rank, 4);
  EXPECT_EQ(outer.weights.at("qk"), 2);
  EXPECT_EQ(outer.inner.width, 4);
  EXPECT_FALSE(outer.list.at(0).carry);
  EXPECT_EQ(outer.list.at(1).width, 8);
  EXPECT_EQ(outer.maybe->width, 2);
  EXPECT_EQ(outer.epsilon.max, 0.5);
  EXPECT_EQ(CanonicalText(outer.later), R"({"anything":["goes"]})");
}

TEST(Fields, AbsentKeysKeepTheDefaultsOfTheEnclosingStruct) {
  const Outer outer = Read("title: x\ninner: {carry: false}");
  EXPECT_EQ(outer.inner.width, 16);
  EXPECT_FALSE(outer.inner.carry);
  EXPECT_THAT(outer.ratios, ElementsAre(0.1, 0.2));
  EXPECT_EQ(Read("title: x\nrank: ~").rank, std::nullopt);
}

TEST(Fields, UnknownKeysSuggestTheNearest) {
  EXPECT_EQ(ErrorOf("title: x\nration: 0.1"),
            "t.yaml:2:1: unknown key 'ration'; did you mean 'ratio'?");
  EXPECT_EQ(ErrorOf("title: x\ninner:\n  widht: 1"),
            "t.yaml:3:3: inner: unknown key 'widht'; did you mean 'width'?");
  EXPECT_THAT(ErrorOf("title: x\nlist: [{q: 1}]"),
              HasSubstr("t.yaml:2:9: list[0]: unknown key 'q'; known: carry, width"));
}

TEST(Fields, RequiredKeysMustBeGiven) {
  EXPECT_EQ(ErrorOf("{}"), "t.yaml:1:1: missing key 'title': heading of the table");
  EXPECT_EQ(ErrorOf("title: ''"), "t.yaml:1:8: title: must not be empty");
  EXPECT_EQ(ErrorOf("title:"), "t.yaml:1:1: title: expected text, found nothing");
}

TEST(Fields, RootMustBeAMap) {
  EXPECT_EQ(ErrorOf(""), "t.yaml:1:1: expected a map of options (KEY: VALUE), found an empty file");
  EXPECT_EQ(ErrorOf("# nothing\n"),
            "t.yaml:1:1: expected a map of options (KEY: VALUE), found an empty file");
  EXPECT_THAT(ErrorOf("- a"), HasSubstr("found a list"));
  EXPECT_THAT(ErrorOf("title"), HasSubstr("found 'title'"));
}

TEST(Fields, BooleansAreTrueAndFalseOnly) {
  for (const char* word : {"yes", "no", "on", "off", "True", "FALSE", "y", "1", "0"}) {
    EXPECT_EQ(ErrorAt("verbose", word),
              "expected true or false, found '" + std::string(word) + "'");
  }
  EXPECT_EQ(ErrorAt("verbose", "'yes'"), "expected true or false, found the quoted text \"yes\"");
  EXPECT_EQ(ErrorAt("verbose", "\"on\""), "expected true or false, found the quoted text \"on\"");
  EXPECT_EQ(ErrorAt("verbose", "'true'"), "expected true or false, found the quoted text \"true\"");
  EXPECT_EQ(ErrorAt("verbose", "[true]"), "expected true or false, found a list");
}

TEST(Fields, WordsThatYamlTakesForBooleansAreTextWhereTextIsExpected) {
  EXPECT_EQ(Read("title: yes").title, "yes");
  EXPECT_EQ(Read("title: 'on'").title, "on");
  EXPECT_EQ(Read("title: 1.10").title, "1.10");
  EXPECT_EQ(Read("title: 010").title, "010");
}

TEST(Fields, IntegersAreStrict) {
  EXPECT_EQ(ErrorAt("steps", "3.5"), "expected an integer, found '3.5'");
  EXPECT_EQ(ErrorAt("steps", "3.0"), "expected an integer, found '3.0'");
  EXPECT_EQ(ErrorAt("steps", "1e3"), "expected an integer, found '1e3'");
  EXPECT_EQ(ErrorAt("steps", "3x"), "expected an integer, found '3x'");
  EXPECT_EQ(ErrorAt("steps", "+3"), "expected an integer, found '+3'");
  EXPECT_EQ(ErrorAt("steps", "true"), "expected an integer, found 'true'");
  EXPECT_EQ(ErrorAt("steps", "{}"), "expected an integer, found a map");
  EXPECT_EQ(ErrorAt("steps", "'3'"),
            "expected an integer, found the quoted text \"3\"; remove the quotes");
  EXPECT_EQ(ErrorAt("steps", "010"),
            "expected an integer, found '010'; write it in decimal digits without leading zeros");
  EXPECT_THAT(ErrorAt("steps", "0o10"), HasSubstr("write it in plain decimal digits"));
  EXPECT_THAT(ErrorAt("steps", "0x10"), HasSubstr("write it in plain decimal digits"));
  EXPECT_THAT(ErrorAt("steps", "1_000"), HasSubstr("write it in plain decimal digits"));
}

TEST(Fields, IntegersMustFit) {
  EXPECT_EQ(Read("{title: x, steps: 9223372036854775807}").steps, INT64_MAX);
  EXPECT_EQ(ErrorAt("steps", "9223372036854775808"),
            "expected an integer from -9223372036854775808 to 9223372036854775807, found "
            "'9223372036854775808'");
  EXPECT_THAT(ErrorAt("steps", std::string(400, '9')), HasSubstr("expected an integer from -9223"));
  EXPECT_THAT(ErrorAt("seed", "18446744073709551616"), HasSubstr("from 0 to 18446744073709551615"));
  EXPECT_THAT(ErrorAt("seed", "-1"), HasSubstr("from 0 to 18446744073709551615, found '-1'"));
  EXPECT_THAT(ErrorAt("rank", "2147483648"), HasSubstr("from -2147483648 to 2147483647"));
}

TEST(Fields, NumbersAreFiniteDecimals) {
  for (const char* word : {".nan", "nan", "NaN", ".inf", "-.inf", "inf", "1.2.3", "0x1p3", "1e",
                           "e5", ".", "-", "1,5", "10%", "0.5f", "- 1"}) {
    EXPECT_THAT(ErrorOf("title: x\nratio: " + std::string(word)), testing::Ne("no error")) << word;
  }
  EXPECT_EQ(ErrorAt("ratio", ".nan"), "expected a finite number, found '.nan'");
  EXPECT_THAT(ErrorAt("ratio", "1e400"), HasSubstr("a number within the range of a double"));
  EXPECT_THAT(ErrorAt("ratio", "1e-400"), HasSubstr("a number within the range of a double"));
  EXPECT_THAT(ErrorAt("ratio", "00.5"), HasSubstr("without leading zeros"));
  EXPECT_THAT(ErrorAt("ratio", "'0.5'"), HasSubstr("remove the quotes"));
  EXPECT_EQ(Read("{title: x, ratio: +5E-1}").ratio, 0.5);
  EXPECT_EQ(Read("{title: x, ratio: 0.}").ratio, 0);
}

TEST(Fields, RangesMayBeOpenOrClosed) {
  EXPECT_EQ(ErrorAt("ratio", "1"), "must be in [0, 1), found 1");
  EXPECT_EQ(ErrorAt("ratio", "-0.1"), "must be in [0, 1), found -0.1");
  EXPECT_EQ(Read("{title: x, ratio: 0}").ratio, 0);
  EXPECT_EQ(ErrorAt("steps", "-1"), "must be at least 0, found -1");
  EXPECT_EQ(ErrorAt("rank", "0"), "must be above 0, found 0");
  EXPECT_EQ(ErrorOf("{title: x, ratios: [0.5, 1.5]}"),
            "t.yaml:1:26: ratios[1]: must be in [0, 1), found 1.5");
  EXPECT_THAT(ErrorOf("{title: x, weights: {mlp: 11}}"),
              HasSubstr("weights.mlp: must be in [0, 10], found 11"));
  EXPECT_TRUE((Range{0, 1}.Contains(1)) && !(Range{0, 1}.Open().Contains(0)));
  EXPECT_EQ((Range{0, 1}.OpenBelow().Text()), "in (0, 1]");
  EXPECT_EQ(Range::Below(2.5).Text(), "below 2.5");
  EXPECT_EQ(Range::AtMost(1).Text(), "at most 1");
}

TEST(Fields, WrongShapesAreRefused) {
  EXPECT_EQ(ErrorAt("ratios", "0.5"), "expected list of number, found '0.5'");
  EXPECT_EQ(ErrorAt("ratios", "[]"), "must not be empty");
  EXPECT_EQ(ErrorAt("ratios", "~"), "expected list of number, found nothing");
  EXPECT_EQ(ErrorAt("weights", "[1]"), "expected map of names to integer, found a list");
  EXPECT_EQ(ErrorAt("inner", "8"), "expected a map of options (KEY: VALUE), found '8'");
  EXPECT_EQ(ErrorAt("inner", "null"), "expected a map of options (KEY: VALUE), found nothing");
  EXPECT_EQ(ErrorAt("title", "x"), "t.yaml:2:1: the key 'title' is given twice; first at line 1");
  EXPECT_THAT(ErrorAt("steps", ""), HasSubstr("expected an integer, found nothing"));
}

TEST(Fields, EnumsListTheirNames) {
  EXPECT_EQ(ErrorAt("match", "blok"),
            "unknown value 'blok'; did you mean 'block'? (one of nominal, block, total_abs)");
  EXPECT_EQ(ErrorAt("match", "7"), "unknown value '7' (one of nominal, block, total_abs)");
  EXPECT_EQ(ErrorAt("match", "[block]"), "expected one of nominal, block, total_abs, found a list");
}

TEST(Fields, AllProblemsAreReportedAtOnceInTheOrderOfTheFile) {
  EXPECT_EQ(ErrorOf("verbose: yes\nratio: 2\nnonsense: 1\nlist:\n  - width: 0\n  - widht: 1\n"
                    "ratios: [a, 0.5, b]\n"),
            "t.yaml:1:1: missing key 'title': heading of the table\n"
            "t.yaml:1:10: verbose: expected true or false, found 'yes'\n"
            "t.yaml:2:8: ratio: must be in [0, 1), found 2\n"
            "t.yaml:3:1: unknown key 'nonsense'; known: epsilon, inner, later, list, match, "
            "matches, maybe, rank, ratio, ratios, seed, steps, title, verbose, weights\n"
            "t.yaml:5:12: list[0].width: must be at least 1, found 0\n"
            "t.yaml:6:5: list[1]: unknown key 'widht'; did you mean 'width'?\n"
            "t.yaml:7:10: ratios[0]: expected a finite number, found 'a'\n"
            "t.yaml:7:18: ratios[2]: expected a finite number, found 'b'");
}

TEST(Fields, RulesBetweenFieldsAreCheckedOnceTheFieldsAreRight) {
  EXPECT_EQ(ErrorOf("{title: x, rank: 1, steps: 0}"), "t.yaml:1:1: a rank needs steps");
  EXPECT_THAT(ErrorOf("{title: x, rank: 1, steps: 0, verbose: 1}"),
              testing::Not(HasSubstr("a rank needs")));
}

TEST(Fields, ProblemsOfOverridesNameTheAssignment) {
  Node root = Node::ParseText("title: x", "t.yaml");
  ApplyOverrides(root, {"inner.width=0", "inner.height=1"});
  try {
    ReadStruct<Outer>(root);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "--set inner.height=1: inner: unknown key 'height'; known: carry, width\n"
                 "--set inner.width=0: inner.width: must be at least 1, found 0");
  }
}

TEST(CanonicalText, HoldsEveryFieldInFieldOrder) {
  EXPECT_EQ(CanonicalText(Read("title: \"a\\\"\\n\\x01é\"\nmaybe: {}")),
            R"({"title":"a\"\n\u0001é","ratio":0.2,"steps":3,"seed":42,"verbose":false,)"
            R"("match":"block","ratios":[0.1,0.2],"matches":[],"rank":null,"weights":{},)"
            R"("inner":{"width":16,"carry":true},"list":[],"maybe":{"width":8,"carry":true},)"
            R"("epsilon":{"max":0.8},"later":null})");
}

TEST(CanonicalText, DoesNotDependOnOrderSpacingCommentsOrDefaultsWrittenOut) {
  const std::string plain = CanonicalText(Read("title: x\nweights: {b: 1, a: 2}\nratio: 0.3"));
  EXPECT_EQ(CanonicalText(Read("{ratio: 3.0e-1, weights: {a: 2, b: 1}, 'title': \"x\"}")), plain);
  EXPECT_EQ(CanonicalText(Read("# why\nratio:   0.30\r\n\r\nweights:\r\n  a: 2\r\n  b: 1\r\n"
                               "title: 'x'\r\nsteps: 3\r\nmatch: block\r\ninner: {width: 16}\r\n"
                               "ratios: [0.10, 0.20]\r\nrank: null\r\nlater: ~\r\n")),
            plain);
  EXPECT_NE(CanonicalText(Read("title: x\nweights: {b: 1, a: 2}\nratio: 0.31")), plain);
}

TEST(CanonicalText, WritesTheShortestDigitsThatReadBack) {
  EXPECT_EQ(JsonNumber(0.1), "0.1");
  EXPECT_EQ(JsonNumber(1), "1");
  EXPECT_EQ(JsonNumber(-0.0), "0");
  EXPECT_EQ(JsonNumber(1e-6), "1e-06");
  EXPECT_EQ(JsonNumber(1.0 / 3), "0.3333333333333333");
  for (const double value : {0.1 + 0.2, 5e-324, 1.7976931348623157e308, 123456789.125}) {
    EXPECT_EQ(std::strtod(JsonNumber(value).c_str(), nullptr), value);
  }
}

TEST(CanonicalText, IsReadBackToTheSameValue) {
  const std::string once = CanonicalText(Read("{title: x, ratio: 0.123, list: [{width: 3}]}"));
  EXPECT_EQ(CanonicalText(Read(once)), once);
}

TEST(DescribeFields, ListsNestedFieldsDottedWithDefaultsAndRanges) {
  const auto lines = DescribeFields<Outer>();
  const auto line = [&](std::string_view name) {
    for (const FieldHelp& help : lines) {
      if (help.name == name) return help;
    }
    ADD_FAILURE() << name;
    return FieldHelp{};
  };
  EXPECT_TRUE(line("title").required);
  EXPECT_EQ(line("title").default_value, "");
  EXPECT_EQ(line("title").allowed, "not empty");
  EXPECT_EQ(line("ratio").type, "number");
  EXPECT_EQ(line("ratio").default_value, "0.2");
  EXPECT_EQ(line("ratio").allowed, "in [0, 1)");
  EXPECT_EQ(line("ratio").help, "share to remove");
  EXPECT_EQ(line("ratios").allowed, "in [0, 1), not empty");
  EXPECT_EQ(line("match").default_value, "\"block\"");
  EXPECT_EQ(line("match").allowed, "nominal | block | total_abs");
  EXPECT_EQ(line("matches").allowed, "nominal | block | total_abs");
  EXPECT_EQ(line("rank").type, "integer or null");
  EXPECT_EQ(line("inner.width").default_value, "16");
  EXPECT_EQ(line("list[].width").default_value, "8");
  EXPECT_EQ(line("maybe.carry").default_value, "true");
  EXPECT_EQ(line("epsilon").type, "number or {max: number}");
}

TEST(FieldNames, AreTheKeysOfTheStructItself) {
  EXPECT_THAT(FieldNames<Inner>(), ElementsAre("width", "carry"));
}

struct Twice {
  int a = 0;
  template <class V>
  void Fields(V&& field) {
    field("a", a, "once");
    field("a", a, "again");
  }
};

TEST(Fields, ListedTwiceAreAMistakeOfTheProgram) {
  EXPECT_THROW(ReadStruct<Twice>(Node::ParseText("{}", "t.yaml")), std::logic_error);
}

}  // namespace
}  // namespace condense
