// Single parts of the pipeline. Expected ids are those of the library tokenizers 0.22.2 for the
// same file, unless a test says otherwise.
#include <algorithm>
#include <random>

#include "base/error.h"
#include "base/strings.h"
#include "base/system.h"
#include "support/temp_folder.h"
#include "tokenizer/components/bpe.h"
#include "tokenizer/components/decoder.h"
#include "tokenizer/components/pattern.h"
#include "tokenizer/components/pre_tokenizer.h"
#include "tokenizer/components/unigram.h"
#include "unit/tokenizer/golden.h"

namespace condense {
namespace {

using nlohmann::json;

// ▁ a b c ▁a ab ▁ab < > x, with merges for the longer ones.
json SmallModel() {
  return json::parse(R"({
    "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "decoder": null,
    "model": {"type": "BPE", "unk_token": "<unk>",
              "vocab": {"<unk>": 0, "▁": 1, "a": 2, "b": 3, "c": 4, "▁a": 5, "ab": 6, "▁ab": 7,
                        "<": 8, ">": 9, "x": 10},
              "merges": [["▁", "a"], ["a", "b"], ["▁a", "b"]]}})");
}

std::unique_ptr<Tokenizer> Load(const json& file) {
  TempFolder folder;
  WriteText(folder.path() / "tokenizer.json", file.dump());
  return LoadTokenizer(folder.path());
}

Ids Encode(const json& file, std::string_view text) {
  return Load(file)->Encode(text, SpecialTokens::kAdd);
}

json AddedX(const json& flags) {
  json token = {{"id", 11}, {"content", "<x>"}, {"normalized", false}, {"special", false}};
  if (!flags.is_null()) token.update(flags);
  return token;
}

TEST(Metaspace, SchemesDifferInWhereTheyPrepend) {
  const auto encode = [](const char* scheme, std::string_view text) {
    json file = SmallModel();
    file["pre_tokenizer"] = {
        {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}};
    file["added_tokens"] = {AddedX({})};
    return Encode(file, text);
  };
  EXPECT_EQ(encode("always", "ab  <x> ab"), (Ids{7, 1, 1, 11, 7}));
  EXPECT_EQ(encode("always", "<x>ab"), (Ids{11, 7}));
  EXPECT_EQ(encode("first", "<x>ab"), (Ids{11, 6}));
  EXPECT_EQ(encode("first", " ab"), (Ids{7}));
  EXPECT_EQ(encode("first", "ab ab"), (Ids{7, 7}));
  EXPECT_EQ(encode("never", "ab ab"), (Ids{6, 7}));
  EXPECT_EQ(encode("always", ""), Ids{});
}

TEST(Metaspace, DecodesWithoutTheFirstSpace) {
  json file = SmallModel();
  file["decoder"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}};
  EXPECT_EQ(Load(file)->Decode(Ids{7, 1, 1, 7}), "ab   ab");
  file["decoder"]["prepend_scheme"] = "never";
  EXPECT_EQ(Load(file)->Decode(Ids{7, 1, 1, 7}), " ab   ab");
}

TEST(Bpe, FusesUnknownCharactersWhereAsked) {
  json file = SmallModel();
  file["model"]["fuse_unk"] = true;
  EXPECT_EQ(Encode(file, "aüüb"), (Ids{2, 0, 3}));
  file["model"]["fuse_unk"] = false;
  EXPECT_EQ(Encode(file, "aüüb"), (Ids{2, 0, 0, 3}));
}

TEST(Bpe, AnUnknownCharacterWithoutATokenForItIsLeftOut) {
  json file = SmallModel();
  file["model"]["unk_token"] = nullptr;
  EXPECT_EQ(Encode(file, "aü"), Ids{2});
  EXPECT_EQ(Encode(file, "aüb"), (Ids{6}));
}

TEST(Decoder, WithoutAnyTokensAreWords) {
  EXPECT_EQ(Load(SmallModel())->Decode(Ids{6, 4, 0, 6}), "ab c <unk> ab");
}

TEST(AddedTokens, TakeWhiteSpaceAsTheirFlagsSay) {
  const auto encode = [](const json& flags, std::string_view text) {
    json file = SmallModel();
    file["added_tokens"] = {AddedX(flags)};
    return Encode(file, text);
  };
  EXPECT_EQ(encode({}, "a <x> b"), (Ids{2, 0, 11, 0, 3}));
  EXPECT_EQ(encode({{"lstrip", true}}, "a <x> b"), (Ids{2, 11, 0, 3}));
  EXPECT_EQ(encode({{"rstrip", true}}, "a <x> b"), (Ids{2, 0, 11, 3}));
  EXPECT_EQ(encode({{"rstrip", true}}, "<x>\u3000b"), (Ids{11, 3}));
  EXPECT_EQ(encode({{"single_word", true}}, "a<x>b"), (Ids{2, 8, 10, 9, 3}));
  EXPECT_EQ(encode({{"single_word", true}}, "<x>\u3000b"), (Ids{11, 0, 3}));
}

TEST(AddedTokens, TheLongestAtAPlaceCounts) {
  json file = SmallModel();
  file["added_tokens"] = {AddedX({}), AddedX({{"id", 12}, {"content", "<x>a"}})};
  EXPECT_EQ(Encode(file, "<x>ab"), (Ids{12, 3}));
  EXPECT_EQ(Encode(file, "<x>b"), (Ids{11, 3}));
}

TEST(AddedTokens, NormalizedOnesAreFoundInTheNormalizedText) {
  json file = SmallModel();
  file["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  file["added_tokens"] = {AddedX({{"content", "x b"}, {"normalized", true}})};
  EXPECT_EQ(Encode(file, "ax b"), (Ids{2, 11}));
}

// The example of the documentation of tokenizers' SplitDelimiterBehavior.
TEST(Split, BehavesAsDocumented) {
  using Words = std::vector<std::string>;
  const auto split = [](SplitBehavior behavior) {
    PreTokenizer pre_tokenizer;
    pre_tokenizer.Split({Pattern::Literal("-"), behavior});
    std::vector<Word> words = {{"the-final--countdown", true}};
    std::deque<std::string> storage;
    pre_tokenizer.Apply(words, storage);
    Words texts;
    for (const Word& word : words) texts.emplace_back(word.text);
    return texts;
  };
  EXPECT_EQ(split(SplitBehavior::kRemoved), (Words{"the", "final", "countdown"}));
  EXPECT_EQ(split(SplitBehavior::kIsolated), (Words{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(split(SplitBehavior::kMergedWithPrevious), (Words{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(split(SplitBehavior::kMergedWithNext), (Words{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(split(SplitBehavior::kContiguous), (Words{"the", "-", "final", "--", "countdown"}));
}

std::vector<TextRange> FindAll(std::string_view expression, std::string_view text) {
  const Pattern pattern = Pattern::Regex(expression, "test");
  std::vector<TextRange> matches;
  Pattern::Searcher(pattern).FindAll(text, matches);
  return matches;
}

TEST(Pattern, WhiteSpaceIsThatOfUnicode) {
  // PCRE2's own \s has U+180E, which Unicode took out, and U+001C is none in either.
  EXPECT_EQ(FindAll("\\s", "\u180E\u001C").size(), 0u);
  EXPECT_EQ(FindAll("[\\s]", "\u0085\u00A0\u3000\u2028").size(), 4u);
  EXPECT_EQ(FindAll("\\S", "\u180E\u3000").size(), 1u);
}

TEST(Pattern, AnEmptyMatchBehindAnotherDoesNotCount) {
  EXPECT_EQ(FindAll("x*", "ßx"), (std::vector<TextRange>{{0, 0}, {2, 3}}));
  EXPECT_EQ(FindAll("x*", "xxßyx"), (std::vector<TextRange>{{0, 2}, {4, 4}, {5, 6}}));
}

TEST(Pattern, AClassInsideAClassIsAPartOfIt) {
  EXPECT_EQ(FindAll("[^a[bc]]", "abxc").size(), 1u);
  EXPECT_EQ(FindAll("[a[b]c]+", "abc").size(), 1u);
}

TEST(Pattern, WhatPcreReadsDifferentlyIsRefused) {
  for (const char* expression : {"[a[^b]]", "[a-[b]]", "[[a]-z]", "[[:alpha:]]"}) {
    EXPECT_THROW(Pattern::Regex(expression, "test"), DataError) << expression;
  }
  EXPECT_THROW(Pattern::Regex("[a&&b]", "test"), DataError);
  EXPECT_THROW(Pattern::Regex("[\\H]", "test"), DataError);
  EXPECT_THROW(Pattern::Regex("(", "test"), DataError);
  EXPECT_NO_THROW(Pattern::Regex("[]a]\\[[^]\\]]", "test"));
}

TEST(ByteFallback, ARunInvalidAsAWholeIsReplacedByteByByte) {
  Decoder decoder;
  decoder.ByteFallback();
  EXPECT_EQ(decoder.Decode({"<0xE6>", "<0x97>", "<0xA5>", "a"}), "日a");
  EXPECT_EQ(decoder.Decode({"<0x41>", "<0xE6>", "a", "<0x42>"}), "\uFFFD\uFFFDaB");
}

// The definition: the best sum of scores over all ways to cut a text, ten below the lowest for a
// character without a token.
double BestScore(const std::vector<std::string>& tokens, const std::vector<double>& scores,
                 std::string_view text) {
  if (text.empty()) return 0;
  double best = -35 + BestScore(tokens, scores, text.substr(1));
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!text.starts_with(tokens[i])) continue;
    best = std::max(best, scores[i] + BestScore(tokens, scores, text.substr(tokens[i].size())));
  }
  return best;
}

TEST(Unigram, FindsTheBestSumOfScores) {
  std::mt19937 random(9);
  const std::vector<std::string> tokens = {"?", "a", "b", "ab", "ba", "aab", "bba", "abab", "bb"};
  for (int round = 0; round < 100; ++round) {
    Vocabulary vocabulary;
    std::vector<double> scores = {-25};
    for (size_t i = 1; i < tokens.size(); ++i) scores.push_back(-0.25 * (random() % 80));
    for (const std::string& token : tokens) vocabulary.Add(token, vocabulary.size(), "test");
    const UnigramModel model(vocabulary, scores, {.unknown = 0});
    std::string text;
    for (size_t i = random() % 12; i > 0; --i) text += "abababc"[random() % 7];
    Ids ids;
    model.Encode(text, ids);
    // Runs of "c", the only character without a token, are one unknown token each.
    double score = -35.0 * static_cast<double>(std::count(text.begin(), text.end(), 'c'));
    for (const TokenId id : ids) score += id == 0 ? 0 : scores[id];
    EXPECT_DOUBLE_EQ(score, BestScore(tokens, scores, text)) << text;
  }
}

TEST(Unigram, ACharacterWithoutATokenNeedsAnUnknownToken) {
  Vocabulary vocabulary;
  vocabulary.Add("a", 0, "test");
  const UnigramModel model(vocabulary, {-1}, {});
  Ids ids;
  EXPECT_THROW(model.Encode("aü", ids), DataError);
}

// A vocabulary of byte strings over {a, b, c, ▁} with random merges.
struct RandomBpe {
  Vocabulary vocabulary;
  std::vector<BpeMerge> merges;
};

RandomBpe MakeRandomBpe(std::mt19937& random, int merge_count) {
  RandomBpe bpe;
  for (const char* symbol : {"a", "b", "c", "\u2581"}) {
    bpe.vocabulary.Add(symbol, bpe.vocabulary.size(), "test");
  }
  while (static_cast<int>(bpe.merges.size()) < merge_count) {
    BpeMerge merge;
    merge.left = static_cast<TokenId>(random() % bpe.vocabulary.size());
    merge.right = static_cast<TokenId>(random() % bpe.vocabulary.size());
    const std::string joined =
        *bpe.vocabulary.Token(merge.left) + *bpe.vocabulary.Token(merge.right);
    if (joined.size() > 12 || bpe.vocabulary.Find(joined)) continue;
    merge.result = static_cast<TokenId>(bpe.vocabulary.size());
    merge.rank = static_cast<uint32_t>(bpe.merges.size());
    bpe.vocabulary.Add(joined, merge.result, "test");
    bpe.merges.push_back(merge);
  }
  return bpe;
}

// The definition: join the leftmost pair of the best rank, again and again.
Ids NaiveBpe(const RandomBpe& bpe, std::string_view text) {
  Ids ids;
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    NextCodePoint(text, position);
    ids.push_back(*bpe.vocabulary.Find(text.substr(begin, position - begin)));
  }
  while (true) {
    const BpeMerge* best = nullptr;
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      for (const BpeMerge& merge : bpe.merges) {
        if (merge.left != ids[i] || merge.right != ids[i + 1]) continue;
        if (best == nullptr || merge.rank < best->rank) best = &merge, at = i;
      }
    }
    if (best == nullptr) return ids;
    ids[at] = best->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(Bpe, EqualsItsDefinitionOnRandomTexts) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const RandomBpe bpe = MakeRandomBpe(random, 1 + static_cast<int>(random() % 25));
    const BpeModel model(bpe.vocabulary, bpe.merges, {});
    std::string text;
    for (size_t i = random() % 60; i > 0; --i) text += *bpe.vocabulary.Token(random() % 4);
    Ids ids;
    BpeEncoder(model, ids).Append(text);
    ASSERT_EQ(ids, NaiveBpe(bpe, text)) << text;
  }
}

TEST(Bpe, TimeIsNearLinearInALongWord) {
  std::mt19937 random(8);
  const RandomBpe bpe = MakeRandomBpe(random, 25);
  const BpeModel model(bpe.vocabulary, bpe.merges, {});
  const auto seconds = [&](size_t length) {
    std::string text;
    for (size_t i = 0; i < length; ++i) text += "abc"[random() % 3];
    Ids ids;
    const Stopwatch watch;
    BpeEncoder(model, ids).Append(text);
    return watch.Seconds();
  };
  // Sixteen times the length; quadratic time would take 256 times as long.
  const double shorter = seconds(100'000);
  EXPECT_LT(seconds(1'600'000), 80 * shorter + 0.1);
}

}  // namespace
}  // namespace condense
