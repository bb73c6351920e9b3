// Malformed and inconsistent files are refused with a sentence that names file and place.
#include <cstring>
#include <functional>

#include "base/error.h"
#include "support/temp_folder.h"
#include "tokenizer/components/byte_alphabet.h"
#include "unit/tokenizer/golden.h"

namespace condense {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string MessageOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const DataError& error) {
    return error.what();
  }
  return "(no DataError)";
}

// 256 byte tokens, "ab", and <s> and </s> behind them.
json ByteVocabulary() {
  json vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    vocabulary[EncodeBytes({&raw, 1})] = byte;
  }
  vocabulary["ab"] = 256;
  return vocabulary;
}

json TokenizerJson() {
  json file = json::parse(R"({
    "added_tokens": [{"id": 257, "content": "<s>", "special": true},
                     {"id": 258, "content": "</s>", "special": true}],
    "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "post_processor": {
      "type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                 {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [257], "tokens": ["<s>"]}}},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "merges": ["a b"]}})");
  file["model"]["vocab"] = ByteVocabulary();
  return file;
}

using Files = std::map<std::string, std::string>;

std::unique_ptr<Tokenizer> Load(const Files& files) {
  TempFolder folder;
  for (const auto& [name, text] : files) WriteText(folder.path() / name, text);
  return LoadTokenizer(folder.path());
}

std::string Refusal(const Files& files) {
  return MessageOf([&] { Load(files); });
}

// The refusal of a tokenizer.json in which one place was changed.
std::string RefusalWith(const char* pointer, const json& value) {
  json file = TokenizerJson();
  file[json::json_pointer(pointer)] = value;
  return Refusal({{"tokenizer.json", file.dump()}});
}

TEST(Refusal, NestingThatWouldTakeAllStack) {
  const std::string nested = std::string(100000, '[') + std::string(100000, ']');
  const std::string file = TokenizerJson().dump();
  EXPECT_THAT(Refusal({{"tokenizer.json", nested}}), HasSubstr("more than 128 levels"));
  EXPECT_THAT(Refusal({{"tokenizer.json", file},
                       {"tokenizer_config.json", "{\"bos_token\": " + nested + "}"}}),
              HasSubstr("tokenizer_config.json: line 1, column 142: JSON nested"));
}

TEST(Refusal, TheFileItselfIsFine) {
  const auto tokenizer = Load({{"tokenizer.json", TokenizerJson().dump()}});
  EXPECT_EQ(tokenizer->Encode("ab</s>b", SpecialTokens::kAdd), (Ids{257, 256, 258, 'b'}));
  EXPECT_EQ(tokenizer->bos(), 257);
  EXPECT_EQ(tokenizer->eos(), std::nullopt);
  EXPECT_EQ(tokenizer->size(), 259);
}

TEST(Refusal, AFolderWithoutATokenizer) {
  EXPECT_THAT(Refusal({}), HasSubstr("no tokenizer here; expected tokenizer.json"));
  EXPECT_THAT(Refusal({{"vocab.json", "{}"}}), HasSubstr("no tokenizer here"));
}

TEST(Refusal, MalformedJsonWithItsPlace) {
  EXPECT_THAT(Refusal({{"tokenizer.json", "{\"model\":\n  {]}"}}),
              HasSubstr("tokenizer.json: not valid JSON: line 2, column 4"));
  EXPECT_THAT(Refusal({{"tokenizer.json", ""}}), HasSubstr("not valid JSON: line 1"));
  EXPECT_THAT(Refusal({{"tokenizer.json", "{\"a\": \"\xFF\"}"}}), HasSubstr("not valid JSON"));
  EXPECT_THAT(Refusal({{"tokenizer.json", R"({"model": 1, "model": 2})"}}),
              HasSubstr("the key \"model\" occurs twice"));
  EXPECT_THAT(Refusal({{"tokenizer.json", "[]"}}), HasSubstr("expected an object, found array"));
}

TEST(Refusal, ALargeFileStoreStandIn) {
  EXPECT_THAT(Refusal({{"tokenizer.json", "version https://git-lfs.github.com/spec/v1\noid"}}),
              HasSubstr("Git LFS pointer"));
}

TEST(Refusal, UnknownParts) {
  EXPECT_THAT(RefusalWith("/normalizer", {{"type", "Precompiled"}}),
              HasSubstr("tokenizer.json: normalizer: unsupported normalizer 'Precompiled'; known: "
                        "Lowercase, NFC, NFD, NFKC, NFKD, Prepend, Replace, Sequence, Strip, "
                        "StripAccents"));
  EXPECT_THAT(RefusalWith("/pre_tokenizer", {{"type", "BertPreTokenizer"}}),
              HasSubstr("known: ByteLevel, Digits, Metaspace, Punctuation, Sequence, Split, "
                        "Whitespace, WhitespaceSplit"));
  EXPECT_THAT(RefusalWith("/pre_tokenizer", {{"type", "Punctuation"}, {"behavior", "Isolate"}}),
              HasSubstr("unknown split behavior 'Isolate'; did you mean 'Isolated'?"));
  EXPECT_THAT(RefusalWith("/pre_tokenizer", {{"type", "Metaspac"}}),
              HasSubstr("unsupported pre_tokenizer 'Metaspac'; did you mean 'Metaspace'?"));
  EXPECT_THAT(RefusalWith("/decoder", {{"type", "WordPiece"}}),
              HasSubstr("unsupported decoder 'WordPiece'"));
  EXPECT_THAT(RefusalWith("/post_processor", {{"type", "BertProcessing"}}),
              HasSubstr("unsupported post_processor 'BertProcessing'"));
  EXPECT_THAT(RefusalWith("/model/type", "WordPiece"),
              HasSubstr("unsupported model type 'WordPiece'; supported: BPE, Unigram"));
  EXPECT_THAT(RefusalWith("/model/dropout", 0.1), HasSubstr("model.dropout"));
  EXPECT_THAT(RefusalWith("/model/end_of_word_suffix", "</w>"), HasSubstr("end_of_word_suffix"));
}

TEST(Refusal, AUnigramModelThatIsIncomplete) {
  const auto refusal = [](const json& vocabulary, const json& unknown) {
    json file = {{"model", {{"type", "Unigram"}, {"vocab", vocabulary}, {"unk_id", unknown}}}};
    return Refusal({{"tokenizer.json", file.dump()}});
  };
  const json vocabulary = json::parse(R"([["<unk>", 0], ["a", -1.5]])");
  EXPECT_EQ(refusal(vocabulary, 0), "(no DataError)");
  EXPECT_THAT(refusal(vocabulary, 2), HasSubstr("model.unk_id: 2 is not one of the 2 tokens"));
  EXPECT_THAT(refusal({{"a", 0}}, 0), HasSubstr("model.vocab: expected an array"));
  EXPECT_THAT(refusal(json::parse(R"([["<unk>", "0"]])"), 0),
              HasSubstr("model.vocab: entry 0 is not [\"token\", score]"));
  EXPECT_THAT(refusal(json::parse(R"([["a", 0], ["a", 1]])"), 0),
              HasSubstr("the token \"a\" has two ids, 0 and 1"));
}

TEST(Refusal, AMalformedExpression) {
  const json split = {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}};
  EXPECT_THAT(RefusalWith("/pre_tokenizer", split),
              HasSubstr("pre_tokenizer.pattern.Regex: malformed expression '(a'"));
}

TEST(Refusal, IdsAndTokensThatClash) {
  EXPECT_THAT(RefusalWith("/model/vocab/ab", 255), HasSubstr("the id 255 belongs to two tokens"));
  EXPECT_THAT(RefusalWith("/model/vocab/ab", -1), HasSubstr("token \"ab\" has the id -1"));
  EXPECT_THAT(RefusalWith("/model/vocab/ab", 1e12), HasSubstr("expected an integer"));
  EXPECT_THAT(RefusalWith("/model/vocab/ab", int64_t{1} << 40), HasSubstr("expected 0 to"));
  EXPECT_THAT(RefusalWith("/added_tokens/0/id", 258),
              HasSubstr("the id 258 belongs to two tokens"));
  EXPECT_THAT(RefusalWith("/added_tokens/0/content", "ab"),
              HasSubstr("the token \"ab\" has two ids, 256 and 257"));
}

TEST(Refusal, MergesOfUnknownTokens) {
  EXPECT_THAT(RefusalWith("/model/merges", {"a b", "a zz"}),
              HasSubstr("model.merges: merge 2 needs the token \"zz\""));
  EXPECT_THAT(RefusalWith("/model/merges", {"b a"}), HasSubstr("needs the token \"ba\""));
  EXPECT_THAT(RefusalWith("/model/merges", {"ab"}), HasSubstr("expected two tokens"));
  EXPECT_THAT(RefusalWith("/model/merges", json::parse(R"([["a", "b", "c"]])")),
              HasSubstr("merge 1 is neither"));
}

TEST(Refusal, NamesThatTheVocabularyLacks) {
  EXPECT_THAT(RefusalWith("/model/unk_token", "<unk>"), HasSubstr("lacks the unknown token"));
  EXPECT_THAT(RefusalWith("/post_processor/special_tokens/<s>/ids/0", 999),
              HasSubstr("the vocabulary has no token 999"));
  const std::string file = TokenizerJson().dump();
  EXPECT_THAT(Refusal({{"tokenizer.json", file}, {"config.json", R"({"eos_token_id": 259})"}}),
              HasSubstr("config.json: eos_token_id: the vocabulary has no token 259"));
  EXPECT_THAT(
      Refusal({{"tokenizer.json", file}, {"tokenizer_config.json", R"({"add_eos_token": true})"}}),
      HasSubstr("add_eos_token holds, but no eos_token is named"));
}

TEST(Settings, AddTokensAndReplaceWhatTheTemplateAdds) {
  const std::string file = TokenizerJson().dump();
  const auto tokenizer = Load({{"tokenizer.json", file}, {"tokenizer_config.json", R"({
      "added_tokens_decoder": {"300": {"content": "<pad>", "special": true}},
      "bos_token": "<s>", "eos_token": "</s>", "add_bos_token": false, "add_eos_token": true})"}});
  EXPECT_EQ(tokenizer->Encode("a<pad>", SpecialTokens::kAdd), (Ids{'a', 259, 258}));
  EXPECT_EQ(tokenizer->size(), 260);
  EXPECT_EQ(tokenizer->eos(), 258);
  EXPECT_EQ(tokenizer->Decode(Ids{'a', 259, 258}, {.skip_special = true}), "a");
  EXPECT_THAT(MessageOf([&] { tokenizer->Decode(Ids{300}); }), HasSubstr("no token 300"));
}

TEST(Settings, ReplaceTheFlagsOfTokensButNotWhereTheyAreLookedFor) {
  const auto encode = [](const char* flags, std::string_view text) {
    const auto tokenizer =
        Load({{"tokenizer.json", TokenizerJson().dump()},
              {"tokenizer_config.json",
               fmt::format(R"({{"added_tokens_decoder": {{"258": {{"content": "</s>", {}}}}}}})",
                           flags)}});
    return tokenizer->Encode(text, SpecialTokens::kNone);
  };
  EXPECT_EQ(encode(R"("special": true)", "a </s> b").size(), 5u);
  EXPECT_EQ(encode(R"("special": true, "lstrip": true)", "a </s> b").size(), 4u);
  EXPECT_EQ(encode(R"("rstrip": true, "normalized": true)", "a </s> b").size(), 4u);
}

TEST(Settings, GiveNewIdsToTokensOutsideTheVocabulary) {
  const auto tokenizer = Load({{"tokenizer.json", TokenizerJson().dump()},
                               {"tokenizer_config.json",
                                R"({"pad_token": "<pad>", "mask_token": "", "sep_token": "<sep>",
                 "bos_token": "<bos>"})"}});
  EXPECT_EQ(tokenizer->Encode("a<pad><sep>", SpecialTokens::kNone), (Ids{'a', 261, 260}));
  EXPECT_EQ(tokenizer->bos(), 259);
  EXPECT_EQ(tokenizer->size(), 262);
}

// The ids of an empty text in transformers 4.57.
TEST(Settings, OfAClassSayWhatIsPutInFront) {
  const auto added = [](const std::string& name, const std::string& more) {
    return Load({{"tokenizer.json", TokenizerJson().dump()},
                 {"tokenizer_config.json", "{\"tokenizer_class\": \"" + name + "\"" + more + "}"}})
        ->Encode("", SpecialTokens::kAdd);
  };
  const std::string named = R"(, "bos_token": "<s>", "eos_token": "</s>")";
  for (const char* name : {"LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer"}) {
    EXPECT_EQ(added(name, ""), Ids{257});
    EXPECT_EQ(added(name, named), Ids{257});
    EXPECT_EQ(added(name, named + R"(, "add_bos_token": null)"), Ids{});
    EXPECT_EQ(added(name, named + R"(, "add_bos_token": false, "add_eos_token": true)"), Ids{258});
  }
  for (const char* name : {"PreTrainedTokenizerFast", "GPT2Tokenizer", "Qwen2Tokenizer"}) {
    EXPECT_EQ(added(name, named + R"(, "add_bos_token": false, "add_eos_token": true)"), Ids{257});
  }
}

// As transformers 4.57 does for classes other than LlamaTokenizer.
TEST(Settings, SayWhetherALoneByteLevelAddsASpace) {
  const auto adds = [](bool in_file, const std::string& config) {
    json file = TokenizerJson();
    file["pre_tokenizer"]["add_prefix_space"] = in_file;
    const auto tokenizer =
        Load({{"tokenizer.json", file.dump()}, {"tokenizer_config.json", config}});
    return tokenizer->Encode("ab", SpecialTokens::kNone).size() == 2;
  };
  const std::string other = R"("tokenizer_class": "PreTrainedTokenizerFast")";
  EXPECT_FALSE(adds(true, "{" + other + "}"));
  EXPECT_TRUE(adds(false, "{" + other + R"(, "add_prefix_space": true})"));
  EXPECT_TRUE(adds(true, "{" + other + R"(, "add_prefix_space": null})"));
  EXPECT_TRUE(adds(true, R"({"tokenizer_class": "LlamaTokenizer"})"));
  EXPECT_TRUE(adds(true, "{}"));
}

TEST(Settings, ChangeTheDigest) {
  const std::string file = TokenizerJson().dump();
  const auto plain = Load({{"tokenizer.json", file}});
  EXPECT_EQ(plain->digest().size(), 64u);
  EXPECT_EQ(plain->digest(), Load({{"tokenizer.json", file}})->digest());
  EXPECT_NE(plain->digest(),
            Load({{"tokenizer.json", file}, {"tokenizer_config.json", "{}"}})->digest());
}

TEST(Refusal, TextsAndIdsOutOfRange) {
  const auto tokenizer = Load({{"tokenizer.json", TokenizerJson().dump()}});
  EXPECT_THAT(MessageOf([&] { tokenizer->Encode("ab\xC3(", SpecialTokens::kNone); }),
              HasSubstr("not valid UTF-8 at byte 2"));
  EXPECT_THAT(MessageOf([&] { tokenizer->Decode(Ids{-1}); }), HasSubstr("no token -1"));
  EXPECT_THAT(MessageOf([&] { tokenizer->Decode(Ids{259}); }), HasSubstr("ids 0 to 258"));
}

TEST(VocabAndMerges, Refuse) {
  const std::string vocabulary = ByteVocabulary().dump();
  EXPECT_THAT(Refusal({{"vocab.json", R"({"a": 0, "b": 1})"}, {"merges.txt", ""}}),
              HasSubstr("no token for the byte 0x00"));
  EXPECT_THAT(Refusal({{"vocab.json", vocabulary}, {"merges.txt", "#version: 0.2\na b\na\n"}}),
              HasSubstr("merges.txt: merge 2 is 'a'"));
  EXPECT_THAT(Refusal({{"vocab.json", vocabulary},
                       {"merges.txt", ""},
                       {"tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizer"})"}}),
              HasSubstr("tokenizer_class 'RobertaTokenizer'"));
}

TEST(VocabAndMerges, TakeWindowsLineEndings) {
  const auto tokenizer =
      Load({{"vocab.json", ByteVocabulary().dump()}, {"merges.txt", "#version: 0.2\r\na b\r\n"}});
  EXPECT_EQ(tokenizer->Encode("abab", SpecialTokens::kAdd), (Ids{256, 256}));
}

// Length-delimited protobuf field.
std::string Field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string Number(int number, int value) {
  std::string key(1, static_cast<char>((number << 3) & 0x7F));
  if (number > 15) key = {static_cast<char>((number << 3) | 0x80), static_cast<char>(number >> 4)};
  return key + static_cast<char>(value);
}
std::string Piece(const std::string& text, int type = 1) {
  return Field(1, Field(1, text) + Number(3, type));
}

TEST(SentencePieceModel, Refuses) {
  const std::string pieces = Piece("<unk>", 2) + Piece("<s>", 3) + Piece("</s>", 3) + Piece("a");
  const std::string bpe = Field(2, Number(3, 2));
  const auto refusal = [](const std::string& bytes) {
    return Refusal({{"tokenizer.model", bytes}});
  };
  EXPECT_EQ(refusal(pieces + bpe), "(no DataError)");
  EXPECT_THAT(refusal((pieces + bpe).substr(0, pieces.size() - 1)), HasSubstr("truncated"));
  EXPECT_THAT(refusal(""), HasSubstr("no pieces"));
  EXPECT_THAT(refusal("hello"), HasSubstr("neither a SentencePiece model nor tiktoken ranks"));
  EXPECT_EQ(refusal(pieces), "(no DataError)");
  EXPECT_THAT(refusal(pieces + Field(2, Number(3, 3))), HasSubstr("model type 3 is neither BPE"));
  EXPECT_THAT(refusal(pieces + Piece("a") + bpe),
              HasSubstr("the token \"a\" has two ids, 3 and 4"));
  EXPECT_THAT(refusal(pieces + Piece("b", 5) + bpe), HasSubstr("piece 4 has the type 5"));
  EXPECT_THAT(refusal(pieces + Piece("\xFF") + bpe), HasSubstr("piece 4 is empty or not UTF-8"));
  EXPECT_THAT(refusal(pieces + bpe + Field(3, Field(2, "map"))), HasSubstr("normalization map"));
}

TEST(SentencePieceModel, LegacyFalsePrependsOnlyAtTheStart) {
  const auto encode = [](const char* config, std::string_view text) {
    const auto tokenizer =
        Load({{"tokenizer.model", Piece("<unk>", 2) + Piece("<s>", 3) + Piece("</s>", 3) +
                                      Piece("a") + Piece("\u2581") + Field(2, Number(3, 2))},
              {"tokenizer_config.json", config}});
    return tokenizer->Encode(text, SpecialTokens::kNone);
  };
  EXPECT_EQ(encode(R"({"legacy": true})", "a</s>a"), (Ids{4, 3, 2, 4, 3}));
  EXPECT_EQ(encode(R"({"legacy": false})", "a</s>a"), (Ids{4, 3, 2, 3}));
  EXPECT_EQ(encode(R"({"add_prefix_space": false})", "a</s>a"), (Ids{3, 2, 3}));
}

// As AutoTokenizer of transformers 4.57 does: where a control piece is looked for is not changed.
TEST(SentencePieceModel, SettingsSayWhereTheUnknownTokenIsLookedFor) {
  const auto encode = [](const char* id, const char* token, bool normalized) {
    const auto tokenizer =
        Load({{"tokenizer.model", Piece("<unk>", 2) + Piece("<s>", 3) + Piece("</s>", 3) +
                                      Piece("a") + Piece("\u2581") + Field(2, Number(3, 2))},
              {"tokenizer_config.json",
               json{{"added_tokens_decoder",
                     {{id, {{"content", token}, {"normalized", normalized}, {"special", true}}}}}}
                   .dump()}});
    return tokenizer->Encode(std::string("a ") + token, SpecialTokens::kNone);
  };
  EXPECT_EQ(encode("0", "<unk>", false), (Ids{4, 3, 4, 0}));
  EXPECT_EQ(encode("0", "<unk>", true), (Ids{4, 3, 0}));
  EXPECT_EQ(encode("2", "</s>", true), (Ids{4, 3, 4, 2}));
}

std::string Scored(const std::string& text, float score) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &score, 4);
  return Field(1, Field(1, text) + std::string(1, 2 << 3 | 5) + bytes);
}

TEST(SentencePieceModel, UnigramPiecesAreChosenByTheirScores) {
  const std::string pieces = Piece("<unk>", 2) + Piece("<s>", 3) + Piece("</s>", 3) +
                             Scored("\u2581", -1) + Scored("a", -2) + Scored("b", -2) +
                             Scored("ab", -5);
  const auto encode = [&](const std::string& more) {
    return Load({{"tokenizer.model", pieces + more}})->Encode("ab\u00FC", SpecialTokens::kNone);
  };
  EXPECT_EQ(encode(""), (Ids{3, 4, 5, 0}));
  EXPECT_EQ(encode(Scored("\u2581ab", -4.5)), (Ids{7, 0}));
}

TEST(TiktokenRanks, Refuse) {
  const auto refusal = [](const std::string& bytes) {
    return Refusal({{"tokenizer.model", bytes}});
  };
  EXPECT_THAT(refusal("IQ== 0\nIg== x\n"),
              HasSubstr("tokenizer.model:2: expected '<base64> <rank>'"));
  EXPECT_THAT(refusal("IQ== 0\nIg== 0\n"), HasSubstr("the id 0 belongs to two tokens"));
  EXPECT_THAT(refusal("IQ== 0\nIQ== 1\n"), HasSubstr("has two ids, 0 and 1"));
  EXPECT_THAT(refusal("IQ== 0\nIg== 1\n"), HasSubstr("no token for the byte 0x00"));
}

TEST(TiktokenRanks, TheModelsSizeSaysHowManySpecialTokensThereAre) {
  const auto ranks = SharedFolder() / "data/tokenizers/llama3/tokenizer.model";
  CONDENSE_SKIP_WITHOUT(ranks);
  const auto tokenizer =
      Load({{"tokenizer.model", ReadBytes(ranks)}, {"config.json", R"({"vocab_size": 128256})"}});
  EXPECT_EQ(tokenizer->size(), 128256);
  // As in tokenizer.json of Llama-3.1.
  EXPECT_EQ(tokenizer->Encode("<|python_tag|><|reserved_special_token_247|>", SpecialTokens::kNone),
            (Ids{128010, 128255}));
}

}  // namespace
}  // namespace condense
