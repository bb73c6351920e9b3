#include "data/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "support/temp_folder.h"
#include "unit/data/byte_tokenizer.h"
#include "unit/data/error_text.h"

namespace condense {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr TokenId kBos = ByteTokenizer::kBos, kEos = ByteTokenizer::kEos, kAb = ByteTokenizer::kAb;

TokenId Of(char c) { return ByteTokenizer::Of(c); }

class RequestsTest : public ::testing::Test {
 protected:
  EncodedRequest Encode(const Request& request, const std::string& protocol = "lmeval-bos",
                        int64_t max_length = 100) {
    return RequestEncoder(tokenizer_, RequestProtocolNamed(protocol), max_length).Encode(request);
  }
  std::string Refused(const Request& request, const std::string& protocol = "lmeval-bos",
                      int64_t max_length = 100) {
    return ErrorText<DataError>([&] { Encode(request, protocol, max_length); });
  }

  ByteTokenizer tokenizer_;
};

TEST_F(RequestsTest, MovesTrailingSpaceToTheContinuation) {
  const EncodedRequest encoded = Encode({"c \n", "d"});
  EXPECT_THAT(encoded.head, ElementsAre(kBos, Of('c')));
  EXPECT_THAT(encoded.continuation, ElementsAre(Of(' '), Of('\n'), Of('d')));
  EXPECT_THAT(encoded.Input(), ElementsAre(kBos, Of('c'), Of(' '), Of('\n')));
}

TEST_F(RequestsTest, JointEncodingTakesWhatFollowsTheLengthOfTheContext) {
  EXPECT_THAT(Encode({"ca", "bd"}).continuation, ElementsAre(Of('d')));
  EXPECT_THAT(Encode({"ca", "bd"}).head, ElementsAre(kBos, Of('c'), Of('a')));
  EXPECT_THAT(Encode({"ca", "bd"}, "lmeval-0.3").continuation, ElementsAre(Of('b'), Of('d')));
}

TEST_F(RequestsTest, ProtocolsDifferInSpecialTokens) {
  EXPECT_THAT(Encode({"c", "d"}, "lmeval-bos").head, ElementsAre(kBos, Of('c')));
  EXPECT_THAT(Encode({"c", "d"}, "lmeval-nobos").head, ElementsAre(Of('c')));
  EXPECT_THAT(Encode({"c", "d"}, "lmeval-0.3").head, ElementsAre(Of('c')));
}

TEST_F(RequestsTest, AContextThatBeginsWithBosGetsNoSecondOne) {
  EXPECT_THAT(Encode({"<s>c", "d"}).head, ElementsAre(kBos, Of('c')));
}

TEST_F(RequestsTest, EmptyContextIsReplacedByThePrefix) {
  EXPECT_THAT(Encode({"", "cd"}, "lmeval-nobos").head, ElementsAre(kBos));
  EXPECT_THAT(Encode({"", "cd"}, "lmeval-nobos").continuation, ElementsAre(Of('c'), Of('d')));
  EXPECT_THAT(Encode({"", "cd"}, "lmeval-0.3").head, ElementsAre(kEos));
  tokenizer_.has_bos = false;
  EXPECT_THAT(Encode({"", "cd"}).head, ElementsAre(kEos));
}

TEST_F(RequestsTest, ABosInTheContinuationServesAsEmptyContext) {
  EXPECT_THAT(Encode({"", "<s>ab"}).continuation, ElementsAre(kAb));
}

TEST_F(RequestsTest, TruncatesTheContextOnTheLeft) {
  const EncodedRequest encoded = Encode({"cdef", "gh"}, "lmeval-bos", 4);
  EXPECT_THAT(encoded.Input(), ElementsAre(Of('d'), Of('e'), Of('f'), Of('g')));
  EXPECT_TRUE(encoded.truncated);
  EXPECT_EQ(encoded.context_tokens, 5);
  EXPECT_FALSE(Encode({"cdef", "gh"}, "lmeval-bos", 6).truncated);
  EXPECT_THAT(Encode({"cdef", "gh"}, "lmeval-bos", 2).head, ElementsAre(Of('f')));
}

TEST_F(RequestsTest, RefusesWhatCannotBeScored) {
  EXPECT_THAT(Refused({"cdef", "gh"}, "lmeval-bos", 1), HasSubstr("it has 2 ids, more than the 1"));
  EXPECT_THAT(Refused({"  ", "c"}, "lmeval-nobos"), HasSubstr("no ids are left of the context"));
  EXPECT_THAT(Refused({"c", ""}), HasSubstr("no ids are left of the continuation"));
  EXPECT_THAT(Refused({"a", "b"}), HasSubstr("continuation \"b\": no ids are left"));
}

TEST(RequestProtocol, UnknownNamesGetTheNearest) {
  EXPECT_THAT(ErrorText<ConfigError>([] { RequestProtocolNamed("lmeval-boss"); }),
              HasSubstr("did you mean 'lmeval-bos'?"));
}

class RequestFileTest : public ::testing::Test {
 protected:
  std::vector<Request> Read(std::string_view text) {
    WriteFileAtomically(folder_.path() / "r.jsonl", text);
    return ReadRequests(folder_.path() / "r.jsonl");
  }
  std::string Refused(std::string_view text) {
    return ErrorText<DataError>([&] { Read(text); });
  }

  TempFolder folder_;
};

TEST_F(RequestFileTest, ReadsOneRequestALine) {
  const auto requests = Read(
      "{\"context\": \"\", \"continuation\": \" \\u00e9\"}\n"
      "{\"id\": 7, \"continuation\": \"b\", \"context\": \"a\"}");
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].continuation, " \xC3\xA9");
  EXPECT_EQ(requests[1].context, "a");
}

TEST_F(RequestFileTest, AcceptsAByteOrderMarkAndCrLf) {
  EXPECT_EQ(Read("\xEF\xBB\xBF{\"context\": \"a\", \"continuation\": \"b\"}\r\n\r\n").size(), 1u);
}

TEST_F(RequestFileTest, NamesFileAndLineOfWhatIsWrong) {
  const std::string good = "{\"context\": \"a\", \"continuation\": \"b\"}\n";
  EXPECT_THAT(
      Refused(good + "{\"context\": \"a\", \"continuaton\": \"b\"}\n"),
      HasSubstr("r.jsonl:2: no field \"continuation\"; the record has context, continuaton; is "
                "'continuaton' meant?"));
  EXPECT_THAT(Refused(good + "{\"context\": 3, \"continuation\": \"b\"}"),
              HasSubstr("r.jsonl:2: field \"context\" is a number; expected a string"));
  EXPECT_THAT(Refused(good + "[1]"),
              HasSubstr("r.jsonl:2: expected an object {...}, found an array"));
  EXPECT_THAT(Refused(good + "{\"context\": "), HasSubstr("r.jsonl:2: not valid JSON"));
  EXPECT_THAT(Refused(good + "\n" + good), HasSubstr("r.jsonl:2: the line is empty"));
  EXPECT_THAT(Refused(good + "{\"context\": \"\xFF\"}"),
              HasSubstr("r.jsonl:2: invalid UTF-8 at byte 13 of the line"));
  EXPECT_THAT(Refused(""), HasSubstr("holds no requests"));
  EXPECT_THAT(Refused("\n\n"), HasSubstr("holds no requests"));
}

}  // namespace
}  // namespace condense
