#include "config/node.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/error.h"
#include "support/temp_folder.h"

namespace condense {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Node Parse(std::string_view text) { return Node::ParseText(text, "t.yaml"); }

template <class E = ConfigError, class Function>
std::string ErrorOf(Function function) {
  try {
    function();
  } catch (const E& error) {
    return error.what();
  }
  return "no error";
}

std::string ParseError(std::string_view text) {
  return ErrorOf([&] { Parse(text); });
}

const Node& At(const Node& node, std::string_view key) {
  const Node* found = node.Find(key);
  EXPECT_NE(found, nullptr) << key;
  return *found;
}

TEST(Node, RemembersKindsTextPlaceAndPath) {
  const Node root = Parse("title: 'a b'\nlist:\n  - x: 1\n  - [2, ~]\nnone:\n");
  ASSERT_TRUE(root.IsMap());
  EXPECT_EQ(root.path(), "");
  EXPECT_EQ(At(root, "title").text(), "a b");
  EXPECT_TRUE(At(root, "title").quoted());
  EXPECT_EQ(At(root, "title").where().Text(), "t.yaml:1:8");
  const Node& x = At(At(root, "list").items()[0], "x");
  EXPECT_FALSE(x.quoted());
  EXPECT_EQ(x.path(), "list[0].x");
  EXPECT_EQ(x.where().Text(), "t.yaml:3:8");
  EXPECT_EQ(x.key_where().Text(), "t.yaml:3:5");
  EXPECT_TRUE(At(root, "list").items()[1].items()[1].IsNull());
  EXPECT_TRUE(At(root, "none").IsNull());
  EXPECT_EQ(root.Find("absent"), nullptr);
}

TEST(Node, KeepsTheOrderOfTheFile) {
  std::vector<std::string> keys;
  const Node root = Parse("z: 1\na: 2\nm: 3");
  for (const auto& [key, value] : root.entries()) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("z", "a", "m"));
}

TEST(Node, AcceptsByteOrderMarkAndWindowsAndOldMacLineEnds) {
  const std::string expected = R"({"a":1,"b":["x","y z"]})";
  EXPECT_EQ(CanonicalText(Parse("\xEF\xBB\xBF"
                                "a: 1\r\nb:\r\n  - x\r\n  - y z\r\n")),
            expected);
  EXPECT_EQ(CanonicalText(Parse("a: 1\rb:\r  - x\r  - y z\r")), expected);
  EXPECT_EQ(At(Parse("\xEF\xBB\xBF"
                     "a: 1"),
               "a")
                .where()
                .Text(),
            "t.yaml:1:4");
  EXPECT_EQ(At(Parse("a: |\r\n  x\r\n  y\r\n"), "a").text(), "x\ny\n");
}

TEST(Node, EmptyTextIsNull) {
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n", "\xEF\xBB\xBF"}) {
    EXPECT_TRUE(Parse(text).IsNull()) << text;
    EXPECT_EQ(Parse(text).where().Text(), "t.yaml:1:1");
  }
}

TEST(Node, ReadsJson) {
  EXPECT_EQ(CanonicalText(Parse(R"({"b": [1, 2.50, "3"], "a": {"c": null, "d": true}})")),
            R"({"a":{"c":null,"d":true},"b":[1,2.5,"3"]})");
}

TEST(Node, AliasRepeatsAValueUnderItsNewPath) {
  const Node root = Parse("a: &x {deep: [1, 2]}\nb: *x\n");
  const Node& item = At(At(root, "b"), "deep").items()[1];
  EXPECT_EQ(item.text(), "2");
  EXPECT_EQ(item.path(), "b.deep[1]");
  EXPECT_EQ(item.where().line, 1);
  EXPECT_EQ(At(root, "b").key_where().Text(), "t.yaml:2:1");
}

TEST(Node, RefusesDuplicateKeysNamingBothPlaces) {
  EXPECT_EQ(ParseError("a: 1\nb: 2\n'a': 3\n"),
            "t.yaml:3:1: the key 'a' is given twice; first at line 1");
  EXPECT_THAT(ParseError("x: {a: 1, a: 1}"), HasSubstr("t.yaml:1:11: the key 'a' is given twice"));
}

TEST(Node, RefusesWhatItDoesNotSupport) {
  EXPECT_THAT(ParseError("a: &x {b: 1}\nc: {<<: *x}"), HasSubstr("t.yaml:2:5: merge keys"));
  EXPECT_THAT(ParseError("a: !!str 5"), HasSubstr("the tag '!!str' is not supported"));
  EXPECT_THAT(ParseError("a: !path x"), HasSubstr("the tag '!path' is not supported"));
  EXPECT_THAT(ParseError("? [1]\n: 2"), HasSubstr("a list or map cannot be a key"));
  EXPECT_THAT(ParseError(": 3"), HasSubstr("a key is missing"));
  EXPECT_THAT(ParseError("a: &x [*x]"), HasSubstr("an alias inside the value that it names"));
  EXPECT_THAT(ParseError("a: 1\n---\nb: 1"), HasSubstr("t.yaml:2:1: text after the end"));
  EXPECT_THAT(ParseError("- a\nb: 1"), HasSubstr("t.yaml:2:1: text after the end"));
}

TEST(Node, RefusesAliasesThatExpandWithoutBound) {
  std::string text = "a0: &a0 [1]\n";
  for (int i = 1; i < 10; ++i) {
    std::vector<std::string> aliases(10, fmt::format("*a{}", i - 1));
    text += fmt::format("a{0}: &a{0} [{1}]\n", i, fmt::join(aliases, ", "));
  }
  EXPECT_THAT(ParseError(text), HasSubstr("more than 1000000 values"));
}

TEST(Node, SyntaxErrorsSayWhereAndWhatToLookFor) {
  EXPECT_THAT(ParseError("a: 1\n b: 2"), HasSubstr("t.yaml:2:3: not YAML: unexpected ':'"));
  EXPECT_THAT(ParseError("a: b: c"), HasSubstr("t.yaml:1:5: not YAML"));
  EXPECT_THAT(ParseError("a: [1, 2"), HasSubstr("the list is not closed with ']'"));
  EXPECT_THAT(ParseError("a: {b: 2"), HasSubstr("the map is not closed with '}'"));
  EXPECT_THAT(ParseError("a: ]"), HasSubstr("t.yaml:1:4: not YAML: a closing bracket"));
  EXPECT_THAT(ParseError("a: 'x"), HasSubstr("a quote is not closed"));
  EXPECT_THAT(ParseError("a: @x"), HasSubstr("t.yaml:1:4: not YAML: text cannot start"));
  EXPECT_THAT(ParseError("a: *x"), HasSubstr("the referenced anchor is not defined"));
  EXPECT_THAT(ParseError("a: \"x\" y"), HasSubstr("t.yaml:1:8: not YAML: expected KEY: VALUE"));
}

TEST(Node, RefusesTabsInTheIndentationOnly) {
  EXPECT_EQ(ParseError("a:\n\tb: 1"), "t.yaml:2: a tab in the indentation; YAML needs spaces");
  EXPECT_THAT(ParseError("a:\n  \tb: 1"), HasSubstr("t.yaml:2: a tab"));
  EXPECT_EQ(At(Parse("a:\t1\t# one\n\t\nb: 'x\ty'"), "b").text(), "x\ty");
}

TEST(Node, RefusesBytesThatAreNotText) {
  EXPECT_EQ(ParseError("a: 1\nb: \xff"), "t.yaml:2: not valid UTF-8; save the file as UTF-8");
  EXPECT_THAT(ParseError(std::string_view("\xff\xfe"
                                          "a\0",
                                          4)),
              HasSubstr("not valid UTF-8"));
  EXPECT_THAT(ParseError("a: 1\nb: \x04\nc: 2"), HasSubstr("t.yaml:2: the control character 0x04"));
  EXPECT_THAT(ParseError(std::string_view("a: \0", 4)), HasSubstr("0x00"));
}

TEST(Node, RefusesNestingBeyondAnyReason) {
  EXPECT_NE(ParseError(std::string(100000, '[')), "no error");
  EXPECT_NE(ParseError("a: " + std::string(100000, '{')), "no error");
}

TEST(Node, ParseFileNamesTheFile) {
  const TempFolder folder;
  const auto path = folder.path() / "x.yaml";
  EXPECT_THAT(ErrorOf<DataError>([&] { Node::ParseFile(path); }), HasSubstr(path.string()));
  std::ofstream(path) << "a: [";
  EXPECT_THAT(ErrorOf([&] { Node::ParseFile(path); }), HasSubstr(path.string() + ":1"));
}

TEST(Node, DescribesItselfForMessages) {
  EXPECT_EQ(Parse("3.5").Describe(), "'3.5'");
  EXPECT_EQ(Parse("'yes'").Describe(), "the quoted text \"yes\"");
  EXPECT_EQ(Parse("[]").Describe(), "a list");
  EXPECT_EQ(Parse("{}").Describe(), "a map");
  EXPECT_EQ(Parse("~").Describe(), "nothing");
  EXPECT_EQ(Parse("|\n  a\n  b").Describe(), "the quoted text \"a b\"");
  EXPECT_EQ(Parse(std::string(100, 'x')).Describe(), "'" + std::string(60, 'x') + "...'");
}

TEST(Node, MergedMergesMapsAndReplacesTheRest) {
  const Node base = Node::ParseText("a: {x: 1, y: [1, 2]}\nb: 1\nc: {k: 1}", "base.yaml");
  const Node over = Node::ParseText("a: {y: [3], z: 4}\nc: 5\nd: {}", "over.yaml");
  const Node merged = Node::Merged(base, over);
  EXPECT_EQ(CanonicalText(merged), R"({"a":{"x":1,"y":[3],"z":4},"b":1,"c":5,"d":{}})");
  EXPECT_EQ(At(At(merged, "a"), "x").where().file, "base.yaml");
  EXPECT_EQ(At(At(merged, "a"), "y").where().file, "over.yaml");
}

TEST(Node, MergedProfileKeepsThePathTheUserWrote) {
  const Node root = Parse("models: [a]\nprofiles:\n  big: {models: [b]}\n");
  const Node merged = Node::Merged(root.Without({"profiles"}), At(At(root, "profiles"), "big"));
  EXPECT_EQ(At(merged, "models").path(), "profiles.big.models");
  EXPECT_EQ(At(merged, "models").where().line, 3);
  EXPECT_EQ(merged.Find("profiles"), nullptr);
}

TEST(Node, SplitsByKeys) {
  const Node root = Parse("{a: 1, b: 2, c: 3}");
  EXPECT_EQ(CanonicalText(root.Without({"a", "z"})), R"({"b":2,"c":3})");
  EXPECT_EQ(CanonicalText(root.Only({"a", "z"})), R"({"a":1})");
  EXPECT_THAT(root.Without({"a", "z"}).handled_elsewhere(), ElementsAre("a", "z"));
  EXPECT_EQ(CanonicalText(Parse("name").Without({"a"})), "\"name\"");
  EXPECT_EQ(CanonicalText(Parse("name").Only({"a"})), "{}");
}

std::string Overridden(std::string_view text, const std::vector<std::string>& assignments) {
  Node root = Parse(text);
  ApplyOverrides(root, assignments);
  return CanonicalText(root);
}

TEST(Overrides, SetNestedKeysAndListItems) {
  EXPECT_EQ(Overridden("a: {b: 1}\nl: [1, {c: 2}]",
                       {"a.b=5", "a.new.deep=x", "l[0]=[7, 8]", "l[1].c='9'", "l[0][1]=6"}),
            R"({"a":{"b":5,"new":{"deep":"x"}},"l":[[7,6],{"c":"9"}]})");
  EXPECT_EQ(Overridden("a: 1", {"a=x=y", "b=", "c=a: 1"}), R"({"a":"x=y","b":null,"c":{"a":1}})");
  EXPECT_EQ(Overridden("", {"a=1"}), R"({"a":1})");
}

TEST(Overrides, LaterOnesWin) { EXPECT_EQ(Overridden("a: 1", {"a=2", "a=3"}), R"({"a":3})"); }

TEST(Overrides, QuotedKeysMayHoldDotsAndEqualSigns) {
  EXPECT_EQ(Overridden("{}", {R"(m."llama-3.1".k=1)", R"("a=b"=2)", R"("q\"".r=3)"}),
            R"({"a=b":2,"m":{"llama-3.1":{"k":1}},"q\"":{"r":3}})");
  const Node root = Parse(R"(m: {"llama-3.1": {k: [1]}})");
  const Node& k = At(At(At(root, "m"), "llama-3.1"), "k");
  EXPECT_EQ(k.path(), R"(m."llama-3.1".k)");
  Node changed = root;
  changed.Set(k.path() + "[0]", "2");  // a printed path can be given back
  EXPECT_EQ(CanonicalText(changed), R"({"m":{"llama-3.1":{"k":[2]}}})");
}

TEST(Overrides, SayWhereTheValueCameFrom) {
  Node root = Parse("a: {b: [1]}");
  ApplyOverrides(root, {"a.c=[x, y]"});
  EXPECT_EQ(At(At(root, "a"), "c").items()[1].where().Text(), "--set a.c=[x, y]");
  EXPECT_EQ(At(At(root, "a"), "c").items()[1].path(), "a.c[1]");
}

TEST(Overrides, TurnAComponentNameIntoAMap) {
  EXPECT_EQ(Overridden("methods: [dense, modegpt]", {"methods[1].epsilon=0.1"}),
            R"({"methods":["dense",{"epsilon":0.1,"use":"modegpt"}]})");
}

TEST(Overrides, AllMistakesAreReportedAtOnceAndNothingIsHalfDone) {
  Node root = Parse("a: {b: 1}\nl: [1, 2]");
  const std::string message = ErrorOf([&] {
    ApplyOverrides(root, {"a", "=1", "l[2]=0", "l.x=0", "a[0]=1", "a..b=1", "l[x]=1", "l[0=1",
                          "new.x[0]=1", "a.b=[1", "\"a=1", "a.b=\xff"});
  });
  EXPECT_EQ(message,
            "--set a: expected KEY=VALUE\n"
            "--set =1: '' is not a path like a.b or a.b[2]: a key is missing\n"
            "--set l[2]=0: cannot set 'l[2]': 'l' has 2 items, counted from 0\n"
            "--set l.x=0: cannot set 'l.x': 'l' is a list; name an item, such as [0]\n"
            "--set a[0]=1: cannot set 'a[0]': 'a' is a map, not a list\n"
            "--set a..b=1: 'a..b' is not a path like a.b or a.b[2]: a key is missing\n"
            "--set l[x]=1: 'l[x]' is not a path like a.b or a.b[2]: expected the number of an "
            "item, from 0, between [ and ]\n"
            "--set l[0=1: 'l[0' is not a path like a.b or a.b[2]: ']' is missing\n"
            "--set new.x[0]=1: cannot set 'new.x[0]': 'new.x' is nothing, not a list\n"
            "--set a.b=[1: the value:1:1: a list or map cannot be a key (or it is not closed)\n"
            "--set \"a=1: expected KEY=VALUE\n"
            "--set a.b=\xff: the value:1: not valid UTF-8; save the file as UTF-8");
  EXPECT_EQ(CanonicalText(root), R"({"a":{"b":1},"l":[1,2]})");
}

TEST(CanonicalText, OfATreeDoesNotDependOnSpelling) {
  const std::string expected = R"({"a":0.1,"b":[1,"1",true,"true","yes"],"c":{}})";
  EXPECT_EQ(CanonicalText(Parse("a: 0.10\nb: [1, '1', true, 'true', yes]\nc: {}")), expected);
  EXPECT_EQ(
      CanonicalText(Parse("# x\nc: {}\nb:\n- 1\n- \"1\"\n- true\n- \"true\"\n- 'yes'\na: 1e-1")),
      expected);
}

TEST(Problems, AreThrownTogetherInTheOrderOfTheFile) {
  const Node root = Parse("a: 1\nb: [2, 3]");
  Problems problems;
  problems.ThrowIfAny();
  EXPECT_TRUE(problems.empty());
  problems.Add(At(root, "b").items()[1], "third");
  problems.Add(At(root, "b"), "second");
  problems.Add(root, "root");
  problems.Add(At(root, "a"), "first");
  EXPECT_EQ(
      ErrorOf([&] { problems.ThrowIfAny(); }),
      "t.yaml:1:1: root\nt.yaml:1:4: a: first\nt.yaml:2:4: b: second\nt.yaml:2:8: b[1]: third");
}

}  // namespace
}  // namespace condense
