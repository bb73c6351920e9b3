#include "data/text/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "config/paths.h"
#include "data/text/readers.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "unit/data/error_text.h"

namespace condense {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

CorpusSpec Spec(const std::string& yaml) {
  return ReadStruct<CorpusSpec>(Node::ParseText(yaml, "corpus.yaml"));
}

class CorpusTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, std::string_view text) {
    WriteFileAtomically(folder_.path() / name, text);
  }
  Corpus Load(const std::string& yaml, const std::string& split = "all") {
    return LoadCorpus(Spec(yaml), "sample", split, {{folder_.path()}, {}});
  }
  template <class E>
  std::string Refused(const std::string& yaml, const std::string& split = "all") {
    return ErrorText<E>([&] { Load(yaml, split); });
  }

  TempFolder folder_;
};

TEST(WikiTextRows, KeepSpacesAndTurnBlankLinesIntoEmptyRows) {
  EXPECT_THAT(WikiTextRows(" \n = T = \n\n a \n\xC2\xA0\nend"),
              ElementsAre("", " = T = \n", "", " a \n", "", "end\n"));
  EXPECT_TRUE(WikiTextRows("").empty());
}

TEST(WikiTextRows, GiveThePublishedTestText) {
  const auto path = SharedFolder() / "data/text/wikitext2/test.txt";
  CONDENSE_SKIP_WITHOUT(path);
  const auto rows = WikiTextRows(ReadFile(path));
  EXPECT_EQ(rows.size(), 4358u);
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](auto& row) { return !row.empty(); }), 2891);
  const std::string joined = Join(rows, "\n\n");
  EXPECT_EQ(CodePointCount(joined), 1294336u);
  EXPECT_EQ(Sha256Hex(joined), "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83");
}

TEST(WikiTextRows, OfTheValidationTextAreAsManyAsPublished) {
  const auto path = SharedFolder() / "data/text/wikitext2/valid.txt";
  CONDENSE_SKIP_WITHOUT(path);
  EXPECT_EQ(WikiTextRows(ReadFile(path)).size(), 3760u);
}

TEST(ArticleTitle, IsAHeadingOfTheFirstLevel) {
  EXPECT_TRUE(IsArticleTitle(" = Robert Boulter = \n"));
  EXPECT_FALSE(IsArticleTitle(" = = Career = = \n"));
  EXPECT_FALSE(IsArticleTitle("x = y = \n"));
  EXPECT_FALSE(IsArticleTitle(""));
}

TEST_F(CorpusTest, CountsArticlesFromTheEndOfEachFile) {
  Write("a.txt", " \n = A = \n x\n = B = \n y\n = = b = = \n z\n");
  Write("b.txt", " = C = \n u\n = D = \n v\n");
  const std::string files = "{files: [a.txt, b.txt], unit: article, ";
  const std::string yaml = "reader: wikitext\nsplits:\n  late: " + files +
                           "last: 1}\n  early: " + files + "all_but_last: 1}\n";
  EXPECT_THAT(Load(yaml, "late").rows,
              ElementsAre(" = B = \n", " y\n", " = = b = = \n", " z\n", " = D = \n", " v\n"));
  EXPECT_THAT(Load(yaml, "early").rows, ElementsAre("", " = A = \n", " x\n", " = C = \n", " u\n"));
}

TEST_F(CorpusTest, KeepsTheSeparatorWithTheStoryItCloses) {
  Write("s.txt", "one\n<|endoftext|>\ntwo\n\nmore\n<|endoftext|>\nthree\n");
  const std::string yaml =
      "reader: separated\nsplits:\n  late: {files: [s.txt], unit: story, last: 2}\n"
      "  early: {files: [s.txt], unit: story, all_but_last: 2}\n";
  EXPECT_THAT(Load(yaml, "late").rows,
              ElementsAre("two\n", "", "more\n", "<|endoftext|>\n", "three\n"));
  EXPECT_THAT(Load(yaml, "early").rows, ElementsAre("one\n", "<|endoftext|>\n"));
}

TEST_F(CorpusTest, CutsBytesForwardToTheNextSeparator) {
  Write("s.txt", "one\n<|endoftext|>\ntwo\n<|endoftext|>\nthree\n");
  const std::string yaml =
      "reader: separated\nsplits:\n  late: {files: [s.txt], unit: byte, last: 23}\n"
      "  early: {files: [s.txt], unit: byte, all_but_last: 23}\n";
  EXPECT_THAT(Load(yaml, "late").rows, ElementsAre("three\n"));
  EXPECT_THAT(Load(yaml, "early").rows,
              ElementsAre("one\n", "<|endoftext|>\n", "two\n", "<|endoftext|>\n"));
}

TEST_F(CorpusTest, ReadsAFieldOfEachJsonLineUnchanged) {
  Write("c.jsonl", "{\"text\": \" a\\n\\nb \", \"url\": \"x\"}\r\n{\"text\": \"\"}\n");
  EXPECT_THAT(Load("reader: jsonl-text\nsplits: {all: {files: [c.jsonl]}}").rows,
              ElementsAre(" a\n\nb ", ""));
}

TEST_F(CorpusTest, StripsTheLinesOfPennTreebank) {
  Write("p.txt", " no it was n't \n\n mr. <unk> \n");
  EXPECT_THAT(Load("reader: lines\nsplits: {all: {files: [p.txt]}}").rows,
              ElementsAre("no it was n't", "mr. <unk>"));
}

TEST_F(CorpusTest, BuildsAlpacaTextsByTheTemplate) {
  Write("a.json", R"([{"instruction": "Add.", "input": "1 1", "output": "2"},
                      {"instruction": "Greet.", "input": "", "output": "Hi"},
                      {"text": "as it is"}])");
  EXPECT_THAT(
      Load("reader: alpaca\nsplits: {all: {files: [a.json]}}").rows,
      ElementsAre(
          "Below is an instruction that describes a task, paired with an input that provides "
          "further context. Write a response that appropriately completes the request.\n\n"
          "### Instruction:\nAdd.\n\n### Input:\n1 1\n\n### Response:\n2",
          "Below is an instruction that describes a task. Write a response that appropriately "
          "completes the request.\n\n### Instruction:\nGreet.\n\n"
          "### Response:\nHi",
          "as it is"));
}

TEST_F(CorpusTest, ReadsAlpacaFromJsonLinesAlike) {
  Write("a.jsonl", "{\"instruction\": \"A\", \"input\": \"\", \"output\": \"B\"}\n");
  EXPECT_THAT(Load("reader: alpaca\nsplits: {all: {files: [a.jsonl]}}").rows,
              ElementsAre(AlpacaText("A", "", "B")));
}

TEST(AlpacaPartition, EqualsThePublishedOne) {
  using P = CorpusPartition;
  const auto train = PartitionIndices(52002, P::kTrain);
  const auto validation = PartitionIndices(52002, P::kValidation);
  const auto test = PartitionIndices(52002, P::kTest);
  const auto begin = [](const std::vector<int64_t>& v) {
    return std::vector(v.begin(), v.begin() + 5);
  };
  EXPECT_EQ(train.size(), 41601u);
  EXPECT_EQ(validation.size(), 5201u);
  EXPECT_EQ(test.size(), 5200u);
  EXPECT_THAT(begin(train), ElementsAre(11772, 32210, 17897, 7577, 30256));
  EXPECT_THAT(begin(test), ElementsAre(41912, 27554, 46984, 14706, 13908));
  EXPECT_THAT(begin(validation), ElementsAre(48178, 43897, 12594, 27723, 30162));
}

TEST_F(CorpusTest, TakesTheFirstCandidateThatExistsAndDigestsIt) {
  Write("second.txt", "text\n");
  const Corpus corpus = Load("reader: wikitext\nsplits: {all: {files: [[first.txt, second.txt]]}}");
  EXPECT_EQ(corpus.files.at(0).path.filename(), "second.txt");
  EXPECT_EQ(corpus.sha256, Sha256Hex("text\n"));
}

TEST_F(CorpusTest, DigestOfSeveralFilesDependsOnTheirOrder) {
  Write("a.txt", "a\n");
  Write("b.txt", "b\n");
  EXPECT_NE(Load("reader: wikitext\nsplits: {all: {files: [a.txt, b.txt]}}").sha256,
            Load("reader: wikitext\nsplits: {all: {files: [b.txt, a.txt]}}").sha256);
}

TEST_F(CorpusTest, NamesEveryPlaceWhereAMissingFileWasLookedFor) {
  const std::string message =
      Refused<DataError>("reader: wikitext\nsplits: {all: {files: [[x/first.txt, second.txt]]}}");
  EXPECT_THAT(message, HasSubstr((folder_.path() / "x/first.txt").string()));
  EXPECT_THAT(message, HasSubstr((folder_.path() / "second.txt").string()));
  EXPECT_THAT(message, HasSubstr("--data"));
}

TEST(Corpus, AsksForADataFolderWhereNoneWasNamed) {
  EXPECT_THAT(ErrorText<DataError>([] {
                LoadCorpus(Spec("reader: wikitext\nsplits: {all: {files: [a.txt]}}"), "sample",
                           "all", {});
              }),
              HasSubstr("--data DIR"));
}

TEST_F(CorpusTest, RefusesInvalidUtf8WithItsPlace) {
  Write("a.txt", "good\n\xFF");
  EXPECT_THAT(Refused<DataError>("reader: wikitext\nsplits: {all: {files: [a.txt]}}"),
              HasSubstr("a.txt: invalid UTF-8 at byte 5"));
}

TEST_F(CorpusTest, RefusesAFileWithAnotherDigest) {
  Write("a.txt", "text\n");
  const std::string message = Refused<DataError>(
      "reader: wikitext\nsplits: {all: {files: [a.txt], sha256: [" + std::string(64, '0') + "]}}");
  EXPECT_THAT(message, HasSubstr(Sha256Hex("text\n")));
  EXPECT_THAT(message, HasSubstr(std::string(64, '0')));
}

TEST_F(CorpusTest, RefusesEmptySplitsAndTooFewUnits) {
  Write("empty.txt", "");
  Write("one.txt", " = A = \n x\n");
  EXPECT_THAT(Refused<DataError>("reader: wikitext\nsplits: {all: {files: [empty.txt]}}"),
              HasSubstr("holds no text"));
  EXPECT_THAT(Refused<DataError>(
                  "reader: wikitext\nsplits: {all: {files: [one.txt], unit: article, last: 8}}"),
              HasSubstr("has 1 units of kind 'article', but the split counts 8"));
  EXPECT_THAT(
      Refused<DataError>(
          "reader: wikitext\nsplits: {all: {files: [one.txt], unit: article, all_but_last: 1}}"),
      HasSubstr("holds no text"));
}

TEST_F(CorpusTest, NamesTheRecordThatIsWrong) {
  Write("c.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n");
  EXPECT_THAT(Refused<DataError>("reader: jsonl-text\nsplits: {all: {files: [c.jsonl]}}"),
              HasSubstr("c.jsonl:2: no field \"text\"; the record has txt; is 'txt' meant?"));
  Write("a.json", R"([{"instruction": "A", "input": "", "output": 3}])");
  EXPECT_THAT(Refused<DataError>("reader: alpaca\nsplits: {all: {files: [a.json]}}"),
              HasSubstr("a.json: record 1: field \"output\" is a number; expected a string"));
  Write("b.json", "[{\"instruction\": ");
  EXPECT_THAT(Refused<DataError>("reader: alpaca\nsplits: {all: {files: [b.json]}}"),
              HasSubstr("b.json: not valid JSON"));
}

TEST_F(CorpusTest, SuggestsTheSplitThatIsMeant) {
  Write("a.txt", "x\n");
  EXPECT_THAT(
      Refused<ConfigError>("reader: wikitext\nsplits: {validation: {files: [a.txt]}}", "validaton"),
      HasSubstr("no split 'validaton'; did you mean 'validation'?"));
}

TEST(CorpusSpec, RefusesUnitsThatTheReaderDoesNotKnow) {
  const auto refused = [](const std::string& yaml) {
    return ErrorText<ConfigError>([&] { Spec(yaml); });
  };
  EXPECT_THAT(refused("reader: lines\nsplits: {all: {files: [a], unit: article, last: 1}}"),
              HasSubstr("reader lines does not count in units of 'article'"));
  EXPECT_THAT(refused("reader: lines\nsplits: {all: {files: [a], partition: test}}"),
              HasSubstr("only reader alpaca has partitions"));
  EXPECT_THAT(refused("reader: wikitext\nsplits: {all: {files: [a], last: 1, all_but_last: 1}}"),
              HasSubstr("give one of"));
  EXPECT_THAT(refused("reader: wikitxt\nsplits: {all: {files: [a]}}"), HasSubstr("wikitext"));
}

TEST(Corpus, EveryNamedOneIsWellFormed) {
  const auto names = ListConfigs("corpora");
  EXPECT_GE(names.size(), 8u);
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    EXPECT_NO_THROW(ReadStruct<CorpusSpec>(Node::ParseFile(NamedConfig("corpora", name))));
  }
}

TEST(Corpus, SplitsTheBundledTextsWithoutOverlap) {
  const DataRoots roots = DataRoots::Default();
  const auto titles = [](const Corpus& corpus) {
    std::vector<std::string> found;
    for (const std::string& row : corpus.rows) {
      if (IsArticleTitle(row)) found.emplace_back(Trim(row));
    }
    return found;
  };
  const auto evaluation = titles(LoadCorpus("bundled-articles", "evaluation", roots));
  const auto calibration = titles(LoadCorpus("bundled-articles", "calibration", roots));
  ASSERT_EQ(evaluation.size(), 16u);
  ASSERT_EQ(calibration.size(), 24u);
  EXPECT_EQ(evaluation.front(), "= Rainbows =");
  EXPECT_EQ(evaluation[8], "= Opera =");
  EXPECT_EQ(calibration.front(), "= Tides =");
  const Corpus stories = LoadCorpus("bundled-stories", "evaluation", roots);
  EXPECT_EQ(std::count(stories.rows.begin(), stories.rows.end(), "<|endoftext|>\n"), 11);
  EXPECT_EQ(LoadCorpus("bundled-instructions", "train", roots).size(), 128);
  EXPECT_EQ(LoadCorpus("bundled-instructions", "test", roots).size(), 16);
}

TEST(Corpus, FindsWikiText2InADataFolder) {
  const auto folder = SharedFolder() / "data/text";
  CONDENSE_SKIP_WITHOUT(folder);
  const Corpus corpus = LoadCorpus("wikitext2", "test", DataRoots::Default({folder}));
  EXPECT_EQ(corpus.size(), 4358);
}

}  // namespace
}  // namespace condense
