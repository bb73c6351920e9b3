// Ids, counts and digests against values that other programs made: the golden files, the counts of
// protocols.md 1.1, and calibration ids drawn with Python's random, NumPy and the tokenizers
// library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "config/paths.h"
#include "data/calibration.h"
#include "data/overlap.h"
#include "data/protocols/windows.h"
#include "data/requests.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"

namespace condense {
namespace {

using nlohmann::json;

json ReadJson(const std::filesystem::path& path) { return json::parse(ReadFile(path)); }

// --- Perplexity ----------------------------------------------------------------------------------

class GoldenModel : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    CONDENSE_SKIP_WITHOUT(Model());
    tokenizer_ = LoadTokenizer(Model());
  }
  std::filesystem::path Model() const { return SharedFolder() / "models" / GetParam(); }

  std::unique_ptr<Tokenizer> tokenizer_;
};

INSTANTIATE_TEST_SUITE_P(Models, GoldenModel,
                         ::testing::Values("llama2-mini", "llama3-mini", "opt-mini", "stories260k"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(GoldenModel, WindowsOfWholeFilesEqualTheGoldens) {
  const json golden =
      ReadJson(SharedFolder() / "golden/perplexity" / (std::string(GetParam()) + ".json"));
  for (const json& row : golden.at("rows")) {
    ASSERT_EQ(row.at("start"), 0);
    const std::filesystem::path file = SharedFolder() / row.at("file").get<std::string>();
    SCOPED_TRACE(file.string() + " " + row.at("window").dump());
    const EvaluationText text =
        EvaluationFromText(file, {row.at("window"), SpecialMode::kOnce}, *tokenizer_);
    EXPECT_EQ(text.text_sha256, row.at("utf8_sha256"));
    EXPECT_EQ(text.ids.size(), row.at("tokens"));
    EXPECT_EQ(text.ids_sha256, row.at("ids_sha256"));
    EXPECT_EQ(text.windows, row.at("windows"));
    EXPECT_EQ(text.dropped_tokens, row.at("dropped_tokens"));
  }
}

// --- Requests ------------------------------------------------------------------------------------

int64_t Positions(const std::string& model) { return model == "stories260k" ? 512 : 1024; }

TEST_P(GoldenModel, RequestPairsAreEncodedAsTheHarnessDoes) {
  const json golden =
      ReadJson(SharedFolder() / "golden/zeroshot" / (std::string(GetParam()) + ".json"))
          .at("results");
  const json pairs = ReadJson(SharedFolder() / "golden/inputs/requests.json").at("requests");
  const std::map<std::string, std::string> modes{{"bos_default", "lmeval-bos"},
                                                 {"no_bos", "lmeval-nobos"}};
  for (const auto& [mode, protocol] : modes) {
    const json& rows = golden.at("requests/" + mode).at("rows");
    ASSERT_EQ(rows.size(), pairs.size());
    const RequestEncoder encoder(*tokenizer_, RequestProtocolNamed(protocol),
                                 Positions(GetParam()));
    for (size_t i = 0; i < rows.size(); ++i) {
      SCOPED_TRACE(mode + ": " + rows[i].at("name").get<std::string>());
      const Request request{pairs[i].at("context"), pairs[i].at("continuation")};
      if (rows[i].contains("refused")) {
        EXPECT_THROW(encoder.Encode(request), DataError);
        continue;
      }
      const EncodedRequest encoded = encoder.Encode(request);
      EXPECT_EQ(encoded.context_tokens, rows[i].at("context_tokens"));
      EXPECT_EQ(encoded.continuation.size(), rows[i].at("continuation_tokens"));
      const auto first_ids =
          rows[i].at("continuation_ids").get<std::vector<TokenId>>();  // up to 40
      EXPECT_EQ(std::vector(encoded.continuation.begin(),
                            encoded.continuation.begin() + static_cast<int64_t>(first_ids.size())),
                first_ids);
      EXPECT_EQ(encoded.Input().size(), rows[i].at("input_tokens"));
      EXPECT_EQ(IdsSha256(encoded.Input()), rows[i].at("input_ids_sha256"));
    }
  }
}

// Compares the token counts of every request of a task; how many there were.
int64_t CompareTask(const json& result, const json& documents, const RequestEncoder& encoder) {
  int64_t compared = 0;
  for (size_t d = 0; d < result.at("docs").size(); ++d) {
    const json& scored = result.at("docs")[d];
    const json& requests = documents[d].at("requests");
    EXPECT_EQ(scored.at("doc"), documents[d].at("doc"));
    for (size_t i = 0; i < requests.size(); ++i) {
      const EncodedRequest encoded = encoder.Encode({requests[i][0], requests[i][1]});
      EXPECT_EQ(encoded.context_tokens, scored.at("context_tokens")[i]) << requests[i].dump();
      EXPECT_EQ(encoded.continuation.size(), scored.at("continuation_tokens")[i])
          << requests[i].dump();
      ++compared;
    }
  }
  return compared;
}

TEST_P(GoldenModel, TaskRequestsHaveTheTokenCountsOfTheHarness) {
  const json golden =
      ReadJson(SharedFolder() / "golden/zeroshot" / (std::string(GetParam()) + ".json"))
          .at("results");
  int64_t tasks = 0, compared = 0;
  for (const auto& [name, result] : golden.items()) {
    if (name.rfind("requests/", 0) == 0) continue;
    SCOPED_TRACE(name);
    const std::string mode = result.at("mode");
    const RequestEncoder encoder(
        *tokenizer_, RequestProtocolNamed(mode == "no_bos" ? "lmeval-nobos" : "lmeval-bos"),
        Positions(GetParam()));
    const json documents = ReadJson(SharedFolder() / "golden/zeroshot/requests" /
                                    (result.at("task").get<std::string>() + ".json"))
                               .at("docs");
    compared += CompareTask(result, documents, encoder);
    ++tasks;
  }
  EXPECT_EQ(tasks, 20);
  EXPECT_GT(compared, 10000);
}

// --- Token counts of the full-size tokenizers ----------------------------------------------------

// Remembers the ids of each text, because windows of every size are cut from the same ids.
class EncodesOnce final : public Tokenizer {
 public:
  explicit EncodesOnce(std::unique_ptr<Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {}
  std::vector<TokenId> Encode(std::string_view text, SpecialTokens special) const override {
    auto& ids = ids_[{std::string(text), special}];
    if (ids.empty()) ids = tokenizer_->Encode(text, special);
    return ids;
  }
  std::string Decode(std::span<const TokenId> ids, DecodeOptions options) const override {
    return tokenizer_->Decode(ids, options);
  }
  int64_t size() const override { return tokenizer_->size(); }
  std::optional<TokenId> bos() const override { return tokenizer_->bos(); }
  std::optional<TokenId> eos() const override { return tokenizer_->eos(); }
  const std::string& digest() const override { return tokenizer_->digest(); }

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
  mutable std::map<std::pair<std::string, SpecialTokens>, std::vector<TokenId>> ids_;
};

struct PublishedCounts {
  const char* folder;
  int64_t tokens;
  std::map<int64_t, int64_t> windows;
};

void ExpectCounts(const PublishedCounts& published, const Tokenizer& tokenizer) {
  SCOPED_TRACE(published.folder);
  const Corpus corpus =
      LoadCorpus("wikitext2", "test", DataRoots::Default({SharedFolder() / "data/text"}));
  NamedProtocol named = LoadPerplexityProtocol("wikitext2-128");
  for (const auto& [window, count] : published.windows) {
    std::get<WindowedProtocol>(named.rules).window = window;
    const EvaluationText text = EvaluationFromCorpus(named, corpus, tokenizer);
    EXPECT_EQ(static_cast<int64_t>(text.ids.size()), published.tokens);
    EXPECT_EQ(text.windows, count);
  }
  std::get<WindowedProtocol>(named.rules).special = SpecialMode::kNone;
  EXPECT_EQ(static_cast<int64_t>(EvaluationFromCorpus(named, corpus, tokenizer).ids.size()),
            published.tokens - 1);
}

TEST(WikiText2Test, HasThePublishedTokenCounts) {
  const auto folder = SharedFolder() / "data/tokenizers";
  CONDENSE_SKIP_WITHOUT(folder);
  for (const PublishedCounts& published :
       {PublishedCounts{"llama2", 341469, {{128, 2667}, {2048, 166}, {4096, 83}}},
        PublishedCounts{"llama3", 289077, {{128, 2258}, {2048, 141}, {4096, 70}, {8192, 35}}}}) {
    ExpectCounts(published, EncodesOnce(LoadTokenizer(folder / published.folder)));
  }
}

TEST(WikiText2Test, HasThePublishedTokenCountsWithTheOptTokenizer) {
  const auto folder = SharedFolder() / "data/tokenizers";
  CONDENSE_SKIP_WITHOUT(folder);
  TempFolder opt;
  std::filesystem::copy(folder / "opt/vocab.json", opt.path());
  std::filesystem::copy(folder / "gpt2/merges.txt", opt.path());
  WriteFileAtomically(opt.path() / "tokenizer_config.json",
                      R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true,
                          "bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>",
                          "pad_token": "<pad>"})");
  ExpectCounts({"opt", 287645, {{128, 2247}, {2048, 140}}}, EncodesOnce(LoadTokenizer(opt.path())));
}

// --- Calibration ---------------------------------------------------------------------------------

// model, calibration, hash of 2.1
const std::map<std::string, std::map<std::string, std::string>> kBundledHashes{
    {"llama2-mini",
     {{"bundled-128x256", "54b9454bd3519e440c459a4b20d06a57cebc0e22e991f1778a8afb54bfa6ad00"},
      {"bundled-stories-128x256",
       "4c0a4c086728b91aab25e0c42448f97bc96b134c1ce2c0a83594d755b474c406"},
      {"bundled-instructions-128x256",
       "18f0d372524a08ff4934006aeab1d2f53b9fbf02624a57dd372ed0ebe7b5e01d"}}},
    {"llama3-mini",
     {{"bundled-128x256", "b49a5fae05c6d3d33f39721a3e142e23a7f2c7ea36538d392ebb49955904c9f9"},
      {"bundled-stories-128x256",
       "100abc3f134fa712971aee560cc65bddb37c4d5cb860b015a66d021fdaa2a2ff"},
      {"bundled-instructions-128x256",
       "3b19fd515fd736d4434d74bd5cfc21902ec20f4ca621ee0930558b6b56e0ba0e"}}},
    {"opt-mini",
     {{"bundled-128x256", "2f078487e3b4a78013740da2cfac39b3e583de470e7597c1f920efda4e7b6a97"},
      {"bundled-stories-128x256",
       "a5bd15c8e80ed223c8972aee3c296032f02e38dc59df73468f2ccd421b4cc85c"},
      {"bundled-instructions-128x256",
       "db601793ed1178b7ecbb452872e4de74ebfcd8d953e94a55d5369ee4fd17eed0"}}},
};

TEST(BundledCalibration, DrawsTheIdsThatPythonDraws) {
  const DataRoots roots = DataRoots::Default();
  for (const auto& [model, hashes] : kBundledHashes) {
    const auto folder = roots.bundled / "models" / model;
    CONDENSE_SKIP_WITHOUT(folder);
    const auto tokenizer = LoadTokenizer(folder);
    for (const auto& [name, hash] : hashes) {
      SCOPED_TRACE(model + " " + name);
      const CalibrationSet set = LoadCalibration(name, *tokenizer, roots);
      EXPECT_EQ(set.hash, hash);
      EXPECT_EQ(set.tokens, 128 * 256);
      EXPECT_EQ(set.short_sequences, 0);
    }
  }
}

TEST(BundledCalibration, SharesNothingWithTheEvaluatedText) {
  const DataRoots roots = DataRoots::Default();
  const auto folder = roots.bundled / "models/llama2-mini";
  CONDENSE_SKIP_WITHOUT(folder);
  const auto tokenizer = LoadTokenizer(folder);
  const std::map<std::string, std::string> pairs{
      {"bundled-128x256", "bundled-256"}, {"bundled-stories-128x256", "bundled-stories-256"}};
  for (const auto& [calibration, protocol] : pairs) {
    const EvaluationText text =
        EvaluationFromProtocol(LoadPerplexityProtocol(protocol), *tokenizer, roots);
    EXPECT_GT(text.windows, 10);
    EXPECT_NO_THROW(
        RequireNoOverlap(LoadCalibration(calibration, *tokenizer, roots), text.ids, protocol));
  }
}

struct DrawnIds {
  const char* sampler;
  const char* corpus;
  int64_t samples, length;
  std::map<std::string, std::string> hashes;  // by model
};

const std::vector<DrawnIds> kDrawnIds{
    {"random-windows",
     "wikitext2",
     128,
     128,
     {{"llama2-mini", "f456e580868ef91095a962bda0a2212a133d634360526117513207ffc0e1a607"},
      {"llama3-mini", "8682711dece339f31d9f0c6de6fce6c8a526b5a3df554618cd3f08f164534815"},
      {"opt-mini", "b7e5e989b80b4edb47f8e9d2bbca14edd44b21891affa05a93c1fa1a2b9f8dfc"},
      {"stories260k", "c431d950cfbc2f79b694a5b04624f36d04e9d672aaa7b0f0585919daa9738751"}}},
    {"slicegpt-concat",
     "wikitext2",
     128,
     512,
     {{"llama2-mini", "a1a60943cab6b32d84144cdc64e552bd618c07c537b7e2f869a845c67a4cb463"},
      {"llama3-mini", "5e8468d3334ea50eb054ff13669bf19fdead66f90b9e6009d15a88b4aa8dcfec"},
      {"opt-mini", "2d676c10f1ca61410a6a00c0a948c2ff4e310d724aa5ecb4d073c87401a355f4"},
      {"stories260k", "697381e1ccfc8d21c5f8c6a0ec60c89fc0baeca27eb4ca8fe7d91886b5aaf232"}}},
    {"random-docs",
     "c4",
     32,
     256,
     {{"llama2-mini", "587196d46b3385bb96910db69a8d60470d72a3af49a807c81abb1263f090d4a9"},
      {"llama3-mini", "1d4a641ee3a34646065464dc930569b2a6dd1147c3b02717502ecdabf395a02d"},
      {"opt-mini", "8f1f5e214bd88bf5167716861c619be7fed0a556c7cc511f693904826460ea02"},
      {"stories260k", "e63aef0f94a0651c1a4bcf73c45e598ef557b375cb6a40abe667c7c44009b694"}}},
    {"char-windows",
     "wikitext2",
     16,
     256,
     {{"llama2-mini", "a59ec4347b1ae7a006fb1acea6bd622e2e66808d082b1fad8f59291ae7e86a42"},
      {"llama3-mini", "86c2bd7d19720b4760253973fe64889d81e35f4cf4ee99227551e04fa1b1a93a"},
      {"opt-mini", "fde85535e4e94c63fb4a779b4779c26d2fcb31bab4e5da9f34e333caf058f388"},
      {"stories260k", "8e00555cb79cd24bef805d80158c10fc0c60876baf6b444e62efa374c0cba4cc"}}},
    {"char-windows-dot",
     "wikitext2",
     16,
     256,
     {{"llama2-mini", "434e846a48e9f172dc1776332c6e12c72db5db1517cb0beeb364918ac5ae6586"},
      {"llama3-mini", "5daabde1237544abcd194d8f1091752b55d1fc3e84df8ed91edc40f10839281b"},
      {"opt-mini", "ba0d0078ad50aa39f05e77fe5ebb33c494189cf50251e95cbaf742cc3f3657f6"},
      {"stories260k", "55bfae77404b2bda964a3a170a9093160068ba0fe36740c0f30256b98f5f6f92"}}},
    {"first-lines",
     "wikitext2",
     32,
     128,
     {{"llama2-mini", "5e22ee79d10acbfd328f7975328fbdfe26cc760cb28d664397c263b105d96e92"},
      {"llama3-mini", "19c7f4685764b1221fd2681ee71364b2721e2c674ae6e62c3aa84385b3d0bc7f"},
      {"opt-mini", "278983f8339cc0ca7869dac243ddc9de350a7940525b95a694451ec9611fb64a"},
      {"stories260k", "41e01a6cebe24a7ae4c262e03999f8fc8c4c5cf506fd4171f4a88f50b6b86dd9"}}},
    {"short-docs",
     "c4",
     10,
     64,
     {{"llama2-mini", "9d1960352cc9388633dba2d5d385468353e38ad7ad4217aa059c70261e21e159"},
      {"llama3-mini", "4f5863dcf2cd3512ae91bbff6d5f8609702c0c6fc2c0554bb4230c468ce7b08f"},
      {"opt-mini", "4f9e31eae1968a328bfbb5d6b6dd470b5e0813a8b71f6ac2cb58c18e4eb1e27e"},
      {"stories260k", "2d3c00cd0875b1403cfd82a32a65421535a48b0f960b91b66f3391a983fc0c5b"}}},
};

Corpus SampleCorpus(const std::string& name) {
  const auto folder = SharedFolder() / "data/text";
  if (name == "wikitext2") return LoadCorpus(name, "train", {{folder}, {}});
  const auto spec = ReadStruct<CorpusSpec>(Node::ParseText(
      "reader: jsonl-text\nsplits: {train: {files: [c4_sample.jsonl]}}", "c4-sample"));
  return LoadCorpus(spec, name, "train", {{folder}, {}});
}

TEST_P(GoldenModel, SamplersDrawTheIdsThatTheirOriginalsDraw) {
  CONDENSE_SKIP_WITHOUT(SharedFolder() / "data/text");
  for (const DrawnIds& drawn : kDrawnIds) {
    SCOPED_TRACE(drawn.sampler);
    const Node tree = Node::ParseText(
        fmt::format("{{corpus: {}, split: train, sampler: {}, samples: {}, length: {}}}",
                    drawn.corpus, drawn.sampler, drawn.samples, drawn.length),
        "test");
    EXPECT_EQ(SampleCalibration("test", tree, SampleCorpus(drawn.corpus), *tokenizer_, {}).hash,
              drawn.hashes.at(GetParam()));
  }
}

TEST(ReferenceCalibration, IdsAreReadInOrder) {
  const auto path = SharedFolder() / "golden/slicegpt/llama2-mini_calibration_128x256.bin";
  CONDENSE_SKIP_WITHOUT(path);
  const auto tokenizer = LoadTokenizer(SharedFolder() / "models/llama2-mini");
  const CalibrationSet set =
      LoadCalibration({"ids:" + path.string(), 128, 256, {}}, *tokenizer, {});
  EXPECT_EQ(set.corpus_sha256, "510c43313b1086df5d9887f0627a53c497fad6baf33361bbaa9cf2efb4c5c4e5");
  EXPECT_EQ(set.tokens, 128 * 256);
  const EvaluationText text =
      EvaluationFromIds(path.parent_path() / "llama2-mini_validation.bin", IdsType::kUint16,
                        {256, SpecialMode::kNone}, *tokenizer);
  EXPECT_EQ(text.windows, 194);
}

}  // namespace
}  // namespace condense
