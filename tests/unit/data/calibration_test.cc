#include "data/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "base/sha256.h"
#include "config/paths.h"
#include "data/samplers/sampling.h"
#include "data/samplers/torch_draws.h"
#include "support/temp_folder.h"
#include "unit/data/byte_tokenizer.h"
#include "unit/data/error_text.h"

namespace condense {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

// Rows "row 0.\n", "row 1.\n", ... with an empty one after every third.
Corpus SmallCorpus(int rows) {
  Corpus corpus{"small", "train", {}, {{"small.txt", "00"}}, "00"};
  for (int i = 0; i < rows; ++i) {
    corpus.rows.push_back("row " + std::to_string(i) + ".\n");
    if (i % 3 == 2) corpus.rows.emplace_back();
  }
  return corpus;
}

class CalibrationTest : public ::testing::Test {
 protected:
  CalibrationSet Sample(const std::string& sampler, int samples, int length, int rows = 40,
                        const std::string& rest = "", std::optional<uint64_t> seed = {}) {
    const Node tree = Node::ParseText(
        fmt::format("{{corpus: small, split: train, sampler: {}, samples: {}, length: {}{}}}",
                    sampler, samples, length, rest),
        "calibration.yaml");
    return SampleCalibration("small", tree, SmallCorpus(rows), tokenizer_, seed);
  }
  std::string Text(const std::vector<TokenId>& ids) { return tokenizer_.Decode(ids, {}); }

  ByteTokenizer tokenizer_;
  TempFolder folder_;
};

TEST(CalibrationHash, IsOverCountLengthsAndIds) {
  const std::string bytes = std::string("condense-calib-1\n") +
                            std::string("\2\0\0\0\1\0\0\0\7\0\0\0\2\0\0\0\1\0\0\0\0\1\0\0", 24);
  EXPECT_EQ(CalibrationHash({{7}, {1, 256}}), Sha256Hex(bytes));
  EXPECT_NE(CalibrationHash({{1, 2}}), CalibrationHash({{1}, {2}}));
}

TEST(TorchGenerator, GivesThePublishedNumbers) {
  const at::Generator generator = TorchGenerator(42);
  for (const int64_t expected : {15681, 9019, 21208, 17898}) {
    EXPECT_EQ(TorchRandInt(23767, generator), expected);
  }
}

TEST(Samplers, AreAllRegistered) {
  EXPECT_THAT(Registry<CalibrationSampler>::Instance().Names(),
              ElementsAre("char-windows", "char-windows-dot", "chunks", "first-lines",
                          "random-docs", "random-windows", "random-windows-nn", "short-docs",
                          "slicegpt-concat", "slicegpt-rows"));
}

TEST(Samplers, HaveTheSeedsOfTheirOriginals) {
  const auto seed = [](std::string_view name) {
    return MakeComponent<CalibrationSampler>(name)->default_seed();
  };
  EXPECT_EQ(seed("random-windows"), 0u);
  EXPECT_EQ(seed("slicegpt-concat"), 42u);
  EXPECT_EQ(seed("chunks"), 1234u);
  EXPECT_EQ(seed("char-windows"), 3u);
}

TEST_F(CalibrationTest, EverySamplerIsDeterministicAndFollowsItsSeed) {
  for (const std::string& name : Registry<CalibrationSampler>::Instance().Names()) {
    SCOPED_TRACE(name);
    const int samples = name == "first-lines" ? 12 : 5;
    const CalibrationSet set = Sample(name, samples, 7);
    EXPECT_FALSE(set.sequences.empty());
    EXPECT_EQ(set.hash, Sample(name, samples, 7).hash);
    EXPECT_NE(set.hash, Sample(name, samples, 7, 40, "", 99).hash);
    EXPECT_GT(set.fraction_used, 0);
    EXPECT_LE(set.fraction_used, 1);
    EXPECT_EQ(set.hash, CalibrationHash(set.sequences));
  }
}

TEST_F(CalibrationTest, RandomWindowsAreThoseOfPythonsGenerator) {
  const CalibrationSet set = Sample("random-windows", 3, 10);
  const std::vector<TokenId> stream =
      JoinedStream({SmallCorpus(40), tokenizer_, 3, 10, 0, false}, " ");
  PythonRandom random(0);
  for (const auto& sequence : set.sequences) {
    const int64_t begin = random.RandInt(0, static_cast<int64_t>(stream.size()) - 11);
    EXPECT_EQ(sequence, std::vector(stream.begin() + begin, stream.begin() + begin + 10));
  }
  EXPECT_EQ(set.tokens, 30);
  EXPECT_EQ(set.sampler_params, R"({"version":1,"options":{"join":" "}})");
}

TEST_F(CalibrationTest, TheTwoWindowSamplersDifferInTheJoinAlone) {
  EXPECT_NE(Sample("random-windows", 3, 10).hash, Sample("random-windows-nn", 3, 10).hash);
  EXPECT_EQ(Sample("random-windows", 3, 10, 40, ", join: \"\\n\\n\"").hash,
            Sample("random-windows-nn", 3, 10).hash);
}

TEST_F(CalibrationTest, SliceGptConcatJoinsRowsAndUsesEachOnce) {
  const CalibrationSet set = Sample("slicegpt-concat", 8, 20);
  EXPECT_THAT(set.sequences, Each(SizeIs(20)));
  std::vector<std::string> first_rows;
  for (const auto& sequence : set.sequences) {
    const std::string text = Text(sequence);
    EXPECT_THAT(text, StartsWith("<s>row "));
    EXPECT_THAT(text, HasSubstr(".\n\n\nrow"));
    first_rows.push_back(text.substr(0, text.find('.')));
  }
  std::sort(first_rows.begin(), first_rows.end());
  EXPECT_EQ(std::unique(first_rows.begin(), first_rows.end()), first_rows.end());
}

TEST_F(CalibrationTest, SliceGptConcatMayGiveFewerOnlyWhenToldSo) {
  const std::string message = ErrorText<DataError>([&] { Sample("slicegpt-concat", 100, 20); });
  EXPECT_THAT(message, HasSubstr("100 sequences of 20 ids were requested, but it gives"));
  EXPECT_THAT(message, HasSubstr("allow_fewer"));
  const CalibrationSet set = Sample("slicegpt-concat", 100, 20, 40, ", allow_fewer: true");
  EXPECT_LT(set.sequences.size(), 100u);
  EXPECT_EQ(set.requested_samples, 100);
}

TEST_F(CalibrationTest, SliceGptRowsMayBeShort) {
  const CalibrationSet set = Sample("slicegpt-rows", 10, 9, 20);
  EXPECT_GT(set.short_sequences, 0);
  EXPECT_EQ(set.tokens, 10 * 9 - set.short_sequences);
}

TEST_F(CalibrationTest, ChunksAreDisjoint) {
  auto sequences = Sample("chunks", 15, 20).sequences;
  std::sort(sequences.begin(), sequences.end());
  EXPECT_EQ(std::unique(sequences.begin(), sequences.end()), sequences.end());
}

TEST_F(CalibrationTest, RandomDocsSkipsDocumentsThatAreNotLonger) {
  const CalibrationSet set = Sample("random-docs", 6, 8);  // "row 10.\n" with BOS: 9 ids
  for (const auto& sequence : set.sequences)
    EXPECT_EQ(Text(sequence).find("row 9."), std::string::npos);
  EXPECT_THAT(ErrorText<DataError>([&] { Sample("random-docs", 6, 9); }),
              HasSubstr("has 9 ids in its longest document, but a sequence of 9 ids needs 10"));
}

TEST_F(CalibrationTest, ShortDocsTakesEachDocumentOnce) {
  const CalibrationSet set = Sample("short-docs", 30, 9);
  std::vector<std::vector<TokenId>> sequences = set.sequences;
  std::sort(sequences.begin(), sequences.end());
  EXPECT_EQ(std::unique(sequences.begin(), sequences.end()), sequences.end());
  EXPECT_THAT(ErrorText<DataError>([&] { Sample("short-docs", 31, 9); }),
              HasSubstr("it gives 30 (its other documents are shorter)"));
}

TEST_F(CalibrationTest, CharWindowsDotBeginsAfterAFullStop) {
  for (const auto& sequence : Sample("char-windows-dot", 5, 9).sequences) {
    EXPECT_THAT(Text(sequence), StartsWith("<s>row "));
  }
}

TEST_F(CalibrationTest, RefusesACorpusThatIsTooSmall) {
  EXPECT_THAT(ErrorText<DataError>([&] { Sample("random-windows", 2, 5000); }),
              HasSubstr("but a sequence of 5000 ids needs 5001"));
  EXPECT_THAT(ErrorText<DataError>([&] { Sample("char-windows", 2, 5000); }),
              HasSubstr("characters, but a sequence of 5000 ids needs 5001"));
  EXPECT_THAT(ErrorText<DataError>([&] { Sample("first-lines", 2, 5000); }),
              HasSubstr("ids in 2 shuffled rows"));
  EXPECT_THAT(ErrorText<DataError>([&] { Sample("chunks", 2, 5000); }), HasSubstr("it gives 0"));
}

TEST_F(CalibrationTest, RefusesUnknownSamplersAndOptions) {
  EXPECT_THAT(
      ErrorText<ConfigError>([&] { Sample("random-window", 2, 5); }),
      HasSubstr("unknown calibration sampler 'random-window'; did you mean 'random-windows'?"));
  EXPECT_THAT(ErrorText<ConfigError>([&] { Sample("random-docs", 2, 5, 40, ", join: x"); }),
              HasSubstr("join"));
  EXPECT_THAT(ErrorText<ConfigError>([&] { Sample("chunks", 0, 5); }), HasSubstr("samples"));
}

TEST_F(CalibrationTest, ATextFileIsSampledByRandomWindows) {
  const auto path = folder_.path() / "t.txt";
  std::string text;
  for (const std::string& row : SmallCorpus(40).rows) text += row.empty() ? "\n" : row;
  WriteFileAtomically(path, text);
  const CalibrationSet set =
      LoadCalibration({"text:" + path.string(), 5, 7, {}}, tokenizer_, DataRoots{});
  EXPECT_EQ(set.hash, Sample("random-windows-nn", 5, 7).hash);
  EXPECT_EQ(set.id, "text:t.txt-5x7");
  EXPECT_EQ(set.sampler, "random-windows-nn");
  EXPECT_EQ(set.corpus_sha256, Sha256Hex(text));
}

TEST_F(CalibrationTest, AnIdsFileIsTakenInOrder) {
  const auto path = folder_.path() / "i.bin";
  WriteFileAtomically(path, std::string("\5\0\6\0\7\0\x8\0\x9\0", 10));
  const CalibrationSet set =
      LoadCalibration({"ids:" + path.string(), 2, 2, {}}, tokenizer_, DataRoots{});
  EXPECT_THAT(set.sequences, ElementsAre(ElementsAre(5, 6), ElementsAre(7, 8)));
  EXPECT_DOUBLE_EQ(set.fraction_used, 0.8);
  EXPECT_THAT(ErrorText<DataError>([&] {
                LoadCalibration({"ids:" + path.string(), 3, 2, {}}, tokenizer_, DataRoots{});
              }),
              HasSubstr("3 sequences of 2 ids need 6 ids, but the file has 5"));
}

TEST_F(CalibrationTest, ANameRefusesSizes) {
  EXPECT_THAT(ErrorText<ConfigError>([&] {
                LoadCalibration({"bundled-128x256", 64, {}, {}}, tokenizer_, DataRoots{});
              }),
              HasSubstr("has fixed sizes"));
  EXPECT_THAT(
      ErrorText<ConfigError>([&] { LoadCalibration("bundled-128x265", tokenizer_, DataRoots{}); }),
      HasSubstr("bundled-128x256"));
  EXPECT_THAT(ErrorText<ConfigError>([&] {
                LoadCalibration({"text:x", 0, {}, {}}, tokenizer_, DataRoots{});
              }),
              HasSubstr("0 samples of 256 ids; expected 1 ..."));
}

TEST(CalibrationConfigs, AreWellFormed) {
  const auto names = ListConfigs("calibration");
  EXPECT_GE(names.size(), 10u);
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const Node tree = Node::ParseFile(NamedConfig("calibration", name));
    const auto own = FieldNames<CalibrationSpec>();
    const auto spec = ReadStruct<CalibrationSpec>(tree.Only(own));
    Problems problems;
    const auto& entry = Registry<CalibrationSampler>::Instance().Get(spec.sampler);
    EXPECT_NE(entry.make(tree.Without(own), problems, nullptr), nullptr);
    const auto corpus =
        ReadStruct<CorpusSpec>(Node::ParseFile(NamedConfig("corpora", spec.corpus)));
    EXPECT_EQ(corpus.splits.count(spec.split), 1u);
    EXPECT_THAT(name, HasSubstr(fmt::format("-{}x{}", spec.samples, spec.length)));
  }
}

}  // namespace
}  // namespace condense
