#include "data/protocols/windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "support/temp_folder.h"
#include "unit/data/byte_tokenizer.h"
#include "unit/data/error_text.h"

namespace condense {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TokenId Of(char c) { return ByteTokenizer::Of(c); }

class WindowsTest : public ::testing::Test {
 protected:
  std::filesystem::path Write(const std::string& name, std::string_view text) {
    WriteFileAtomically(folder_.path() / name, text);
    return folder_.path() / name;
  }
  EvaluationText FromText(std::string_view text, WindowOptions options) {
    return EvaluationFromText(Write("text.txt", text), options, tokenizer_);
  }
  NamedProtocol Protocol(const std::string& yaml) {
    return ReadPerplexityProtocol("p", Node::ParseText(yaml, "p.yaml"));
  }

  TempFolder folder_;
  ByteTokenizer tokenizer_;
};

TEST_F(WindowsTest, OncePutsOneTokenInFrontAndDropsTheTail) {
  const EvaluationText text = FromText("cdefg", {4, SpecialMode::kOnce});
  EXPECT_EQ(text.windows, 1);
  EXPECT_EQ(text.dropped_tokens, 2);
  EXPECT_EQ(text.targets(), 3);
  EXPECT_THAT(text.Window(0), ElementsAre(ByteTokenizer::kBos, Of('c'), Of('d'), Of('e')));
}

TEST_F(WindowsTest, WindowPutsATokenInFrontOfEachPiece) {
  const EvaluationText text = FromText("cdefg", {3, SpecialMode::kWindow});
  EXPECT_EQ(text.windows, 2);
  EXPECT_EQ(text.dropped_tokens, 1);
  EXPECT_THAT(text.Window(1), ElementsAre(ByteTokenizer::kBos, Of('e'), Of('f')));
  EXPECT_EQ(text.ids.size(), 5u);
}

TEST_F(WindowsTest, NoneAddsNothing) {
  EXPECT_THAT(FromText("cdef", {2, SpecialMode::kNone}).Window(1), ElementsAre(Of('e'), Of('f')));
}

TEST_F(WindowsTest, ATokenizerWithoutLeadingTokenAddsNoneOnceAndItsBosPerWindow) {
  tokenizer_.puts_bos = false;
  EXPECT_THAT(FromText("cd", {2, SpecialMode::kOnce}).Window(0), ElementsAre(Of('c'), Of('d')));
  EXPECT_THAT(FromText("cd", {3, SpecialMode::kWindow}).Window(0),
              ElementsAre(ByteTokenizer::kBos, Of('c'), Of('d')));
  tokenizer_.has_bos = false;
  EXPECT_THAT(ErrorText<DataError>([&] {
                FromText("cd", {3, SpecialMode::kWindow});
              }),
              HasSubstr("the tokenizer has none"));
}

TEST_F(WindowsTest, TakesTheWholeFileAsOneString) {
  const EvaluationText text = FromText(" c\n\nd\n", {2, SpecialMode::kNone});
  EXPECT_EQ(text.ids.size(), 6u);
  EXPECT_EQ(text.text_sha256, Sha256Hex(" c\n\nd\n"));
  EXPECT_EQ(text.ids_sha256, IdsSha256(text.ids));
}

TEST_F(WindowsTest, RefusesTextsThatFillNoWindow) {
  EXPECT_THAT(ErrorText<DataError>([&] {
                FromText("", {4, SpecialMode::kOnce});
              }),
              HasSubstr("text.txt: the text is empty"));
  EXPECT_THAT(ErrorText<DataError>([&] {
                FromText("cd", {4, SpecialMode::kOnce});
              }),
              HasSubstr("text.txt: the text has 3 ids, fewer than one window of 4"));
  EXPECT_THAT(ErrorText<DataError>([&] {
                FromText("cd\xC3", {2, SpecialMode::kOnce});
              }),
              HasSubstr("invalid UTF-8 at byte 2"));
  EXPECT_THAT(ErrorText<ConfigError>([&] {
                FromText("cd", {1, SpecialMode::kOnce});
              }),
              HasSubstr("a window of 1 ids"));
  EXPECT_THROW(EvaluationFromText(folder_.path() / "none.txt", {2}, tokenizer_), DataError);
}

TEST_F(WindowsTest, TakesIdsAsTheyAre) {
  const auto path = Write("ids.bin", std::string("\x05\0\x06\0\x07\0", 6));
  const EvaluationText text =
      EvaluationFromIds(path, IdsType::kUint16, {2, SpecialMode::kNone}, tokenizer_);
  EXPECT_THAT(text.Window(0), ElementsAre(5, 6));
  EXPECT_EQ(text.dropped_tokens, 1);
  EXPECT_THAT(
      EvaluationFromIds(path, IdsType::kUint16, {2, SpecialMode::kOnce}, tokenizer_).Window(0),
      ElementsAre(ByteTokenizer::kBos, 5));
}

TEST_F(WindowsTest, RowsOfAnArrayMustBeWholeWindows) {
  std::string header = "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 4), }";
  header.resize(117, ' ');
  header += '\n';
  const auto path = Write("ids.npy", std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header +
                                         std::string("\1\0\2\0\3\0\4\0\5\0\6\0\7\0\x8\0", 16));
  const auto cut = [&](int64_t window, SpecialMode special) {
    return EvaluationFromIds(path, IdsType::kUint16, {window, special}, tokenizer_);
  };
  EXPECT_EQ(cut(4, SpecialMode::kNone).windows, 2);
  EXPECT_EQ(cut(2, SpecialMode::kNone).windows, 4);
  EXPECT_EQ(cut(5, SpecialMode::kWindow).windows, 2);
  EXPECT_THAT(ErrorText<DataError>([&] { cut(3, SpecialMode::kNone); }),
              HasSubstr("rows of 4 ids are not whole windows of 3"));
  EXPECT_THAT(ErrorText<DataError>([&] { cut(4, SpecialMode::kOnce); }),
              HasSubstr("once a special token is put in front"));
}

TEST_F(WindowsTest, ProtocolCutsRowsBeforeAndIdsAfterTokenisation) {
  const Corpus corpus{"c", "s", {"cd", "ef", "gh"}, {{"c.txt", "00"}}, "00"};
  const std::string yaml = "{corpus: c, split: s, join: ' ', special: once, window: 2, stride: 2, ";
  const EvaluationText text =
      EvaluationFromCorpus(Protocol(yaml + "take_rows: 2, take_tokens: 5}"), corpus, tokenizer_);
  EXPECT_EQ(text.text_sha256, Sha256Hex("cd ef"));
  EXPECT_EQ(tokenizer_.Decode(text.ids, {}), "<s>cd e");
  EXPECT_EQ(text.windows, 2);
  EXPECT_EQ(text.split, "s");
  EXPECT_THAT(ErrorText<DataError>([&] {
                EvaluationFromCorpus(Protocol(yaml + "take_rows: 4}"), corpus, tokenizer_);
              }),
              HasSubstr("the first 4 rows of corpus c, but split 's' has 3"));
}

TEST_F(WindowsTest, CountsIgnoredTargetsButNotTheFirstIdOfAWindow) {
  const Corpus corpus{"c", "s", {"cxxcxx"}, {{"c.txt", "00"}}, "00"};
  const auto protocol =
      Protocol("{corpus: c, split: s, join: '', special: none, window: 3, stride: 3, ignore_id: " +
               std::to_string(Of('c')) + "}");
  EXPECT_EQ(EvaluationFromCorpus(protocol, corpus, tokenizer_).ignored_targets, 0);
  const Corpus shifted{"c", "s", {"xcxxcx"}, {{"c.txt", "00"}}, "00"};
  EXPECT_EQ(EvaluationFromCorpus(protocol, shifted, tokenizer_).ignored_targets, 2);
}

TEST_F(WindowsTest, RefusesWindowsLongerThanTheModelSees) {
  const EvaluationText text = FromText("cdefg", {4, SpecialMode::kOnce});
  EXPECT_NO_THROW(RequirePositions(text, 4));
  EXPECT_THAT(ErrorText<ConfigError>([&] { RequirePositions(text, 3); }),
              HasSubstr("a window of 4 ids is longer than the 3 positions"));
}

}  // namespace
}  // namespace condense
