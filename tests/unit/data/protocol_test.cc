#include "data/protocols/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/sha256.h"
#include "config/paths.h"
#include "data/text/corpus.h"
#include "unit/data/error_text.h"

namespace condense {
namespace {

using ::testing::HasSubstr;

NamedProtocol Read(const std::string& yaml) {
  return ReadPerplexityProtocol("p", Node::ParseText(yaml, "p.yaml"));
}

const std::string kWindowed =
    "corpus: c\nsplit: s\njoin: ''\nspecial: once\nwindow: 8\nstride: 8\n";

TEST(PerplexityProtocol, RefusesOverlappingWindowsAndUnknownKeys) {
  const auto refused = [](const std::string& rest) {
    return ErrorText<ConfigError>(
        [&] { Read("{corpus: c, split: s, join: '', special: once, " + rest + "}"); });
  };
  EXPECT_THAT(refused("window: 8, stride: 4"), HasSubstr("stride 4 differs from window 8"));
  EXPECT_THAT(refused("windw: 8, stride: 8"), HasSubstr("window"));
  EXPECT_THAT(refused("window: 1, stride: 1"), HasSubstr("at least 2"));
  EXPECT_THAT(refused("window: 8, stride: 8, family: roling"), HasSubstr("rolling"));
}

TEST(PerplexityProtocol, EveryNamedOneIsWellFormedAndNamesACorpus) {
  std::map<std::string_view, int> families;
  for (const std::string& name : ListConfigs("protocols")) {
    SCOPED_TRACE(name);
    const NamedProtocol named = LoadPerplexityProtocol(name);
    EXPECT_EQ(named.params_sha256, Sha256Hex(named.params));
    const auto spec =
        ReadStruct<CorpusSpec>(Node::ParseFile(NamedConfig("corpora", named.corpus())));
    EXPECT_EQ(spec.splits.count(named.split()), 1u);
    ++families[named.family()];
  }
  EXPECT_GE(families["windowed"], 21);
  EXPECT_GE(families["rolling"], 2);
  EXPECT_GE(families["chunked"], 1);
}

// Numbers have been stored under these.
TEST(PerplexityProtocol, HashesOfTheFirstFamilyAreWhatTheyWere) {
  EXPECT_EQ(LoadPerplexityProtocol("bundled-256").params_sha256,
            "9aca30c1a133fc5732e15ebe48bc94faf61b58556a03c6d53444219bccbb46cb");
  EXPECT_EQ(LoadPerplexityProtocol("wikitext2-2048").params_sha256,
            "299c102b1f2cd8faf71cb489fbb3ab677ab623572a71b3b597699c58a198a2cd");
}

TEST(PerplexityProtocol, FamiliesHaveKeysOfTheirOwn) {
  EXPECT_EQ(Read(kWindowed).params, Read(kWindowed + "family: windowed\n").params);
  EXPECT_EQ(Read("{family: chunked, corpus: c, split: s, chunk: 16}").params,
            R"({"family":"chunked","corpus":"c","split":"s","chunk":16})");
  EXPECT_THAT(Read("{family: rolling, corpus: c, split: s, prefix: eos}").params,
              HasSubstr(R"({"family":"rolling","corpus":"c")"));
  EXPECT_THAT(ErrorText<ConfigError>(
                  [] { Read("{family: chunked, corpus: c, split: s, chunk: 16, window: 16}"); }),
              HasSubstr("window"));
  EXPECT_THAT(
      ErrorText<ConfigError>([] { Read("{family: chunked, corpus: c, split: s, chunk: 15}"); }),
      HasSubstr("is not an even number"));
}

TEST(PerplexityProtocol, SaysHowManyPositionsAModelNeeds) {
  EXPECT_EQ(Read(kWindowed).positions(), 8);
  EXPECT_EQ(Read("{family: chunked, corpus: c, split: s, chunk: 16}").positions(), 16);
  const std::string rolling = "{family: rolling, corpus: c, split: s, prefix: eos";
  EXPECT_EQ(Read(rolling + "}").positions(), std::nullopt);
  EXPECT_EQ(Read(rolling + ", max_length: 32}").positions(), 32);
}

TEST(PerplexityProtocol, UnknownIdsNameTheNearest) {
  EXPECT_THAT(ErrorText<ConfigError>([] { LoadPerplexityProtocol("wikitext2-2408"); }),
              HasSubstr("wikitext2-2048"));
}

TEST(AgreementProtocol, IsFrozenApartFromThePerplexityOnTheSameText) {
  const NamedProtocol all = Read(kWindowed), some = Read(kWindowed + "agreement_windows: 3\n");
  EXPECT_EQ(all.params_sha256, some.params_sha256);
  EXPECT_EQ(AgreementOn(all).id, "agree-p");
  EXPECT_EQ(AgreementOn(all).windows, std::nullopt);
  EXPECT_EQ(AgreementOn(some).id, "agree-p");
  EXPECT_EQ(AgreementOn(some).windows, 3);
  EXPECT_NE(AgreementOn(all).params_sha256, AgreementOn(some).params_sha256);
}

TEST(AgreementProtocol, AnotherNumberOfWindowsIsAnotherId) {
  const NamedProtocol named = Read(kWindowed + "agreement_windows: 3\n");
  EXPECT_EQ(AgreementOn(named, 3).id, "agree-p");
  EXPECT_EQ(AgreementOn(named, 5).id, "agree-p@5");
  EXPECT_EQ(AgreementOn(named, 5).windows, 5);
}

TEST(AgreementProtocol, DefaultsAreTwentyWindowsOfWikiTextAndAllOfBundledTexts) {
  EXPECT_EQ(AgreementOn(LoadPerplexityProtocol("wikitext2-2048")).windows, 20);
  EXPECT_EQ(AgreementOn(LoadPerplexityProtocol("bundled-256")).windows, std::nullopt);
  EXPECT_EQ(AgreementOn(LoadPerplexityProtocol("bundled-stories-256")).windows, std::nullopt);
}

TEST(AgreementProtocol, NeedsWindows) {
  const NamedProtocol rolling = Read("{family: rolling, corpus: c, split: s, prefix: eos}");
  EXPECT_THAT(ErrorText<ConfigError>([&] { AgreementOn(rolling); }), HasSubstr("family rolling"));
  EXPECT_THAT(ErrorText<ConfigError>([] {
                Read("{family: rolling, corpus: c, split: s, prefix: eos, agreement_windows: 2}");
              }),
              HasSubstr("no windows"));
}

}  // namespace
}  // namespace condense
