#include "model/stored/gguf/gguf_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "model/stored/gguf/gguf_pre_tokenizers.h"
#include "model/stored/gguf/gguf_vocabulary.h"

namespace condense {
namespace {

using Json = nlohmann::json;

const GgufPreTokenizer& PreTokenizerOf(const GgufVocabulary& vocabulary) {
  const auto name = vocabulary.metadata().String("tokenizer.ggml.pre");
  const GgufPreTokenizer* pre = name ? FindGgufPreTokenizer(*name) : nullptr;
  if (pre != nullptr) return *pre;
  throw MakeError<DataError>("{}: tokenizer.ggml.pre {}; known: {}", vocabulary.path(),
                             name ? fmt::format("'{}' is not supported", *name) : "is missing",
                             Join(GgufPreTokenizerNames(), ", "));
}

Json AddedTokens(const GgufVocabulary& vocabulary) {
  Json tokens = Json::array();
  for (int64_t id = 0; id < vocabulary.size(); ++id) {
    const GgufTokenType type = vocabulary.Type(id);
    const bool special = type == GgufTokenType::kControl || type == GgufTokenType::kUnknown;
    if (!special && type != GgufTokenType::kUserDefined) continue;
    tokens.push_back({{"id", id},
                      {"content", vocabulary.Token(id)},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", special}});
  }
  return tokens;
}

Json Merges(const GgufVocabulary& vocabulary) {
  const auto* lines = vocabulary.metadata().Strings("tokenizer.ggml.merges");
  if (lines == nullptr) {
    throw MakeError<DataError>("{}: the metadata lack 'tokenizer.ggml.merges'", vocabulary.path());
  }
  Json merges = Json::array();
  for (const std::string_view line : *lines) {
    const size_t space = line.find(' ', 1);
    if (space == std::string_view::npos || InvalidUtf8At(line)) {
      throw MakeError<DataError>("{}: merge {} is not two tokens with a space between",
                                 vocabulary.path(), merges.size());
    }
    const std::string left(line.substr(0, space)), right(line.substr(space + 1));
    for (const std::string& token : {left, right, left + right}) {
      if (vocabulary.Has(token)) continue;
      throw MakeError<DataError>("{}: merge {} ('{}') needs the token '{}', which is absent",
                                 vocabulary.path(), merges.size(), line, token);
    }
    merges.push_back(line);
  }
  return merges;
}

bool AddsBos(const GgufVocabulary& vocabulary, bool otherwise) {
  return vocabulary.metadata().Bool("tokenizer.ggml.add_bos_token").value_or(otherwise);
}

bool AddsEos(const GgufVocabulary& vocabulary) {
  return vocabulary.metadata().Bool("tokenizer.ggml.add_eos_token").value_or(false);
}

// [BOS] text [EOS], by the ids that the file names.
Json PostProcessor(const GgufVocabulary& vocabulary, const GgufPreTokenizer& pre) {
  const bool bos = AddsBos(vocabulary, pre.adds_bos), eos = AddsEos(vocabulary);
  if (!bos && !eos) return ByteLevelJson(true);
  Json single = Json::array(), pair = Json::array(), table = Json::object();
  const auto add = [&](const char* name) {
    const auto id = vocabulary.Special(name);
    if (!id) {
      throw MakeError<DataError>("{}: add_{}_token is true, but {}_token_id is missing",
                                 vocabulary.path(), name, name);
    }
    const std::string token = vocabulary.Token(*id);
    const Json item = {{"SpecialToken", {{"id", token}, {"type_id", 0}}}};
    single.push_back(item);
    pair.push_back(item);
    table[token] = {{"id", token}, {"ids", Json::array({*id})}, {"tokens", Json::array({token})}};
  };
  const auto text = [](const char* name) -> Json {
    return {{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  if (bos) add("bos");
  single.push_back(text("A"));
  pair.push_back(text("A"));
  pair.push_back(text("B"));
  if (eos) add("eos");
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", table}};
}

std::string TokenizerJson(const GgufVocabulary& vocabulary) {
  const GgufPreTokenizer& pre = PreTokenizerOf(vocabulary);
  Json ids = Json::object();
  for (int64_t id = 0; id < vocabulary.size(); ++id) ids[vocabulary.Token(id)] = id;
  const Json model = {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"ignore_merges", pre.ignore_merges},
                      {"vocab", std::move(ids)},
                      {"merges", Merges(vocabulary)}};
  const Json file = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", AddedTokens(vocabulary)},
                     {"normalizer", pre.nfc ? Json{{"type", "NFC"}} : Json(nullptr)},
                     {"pre_tokenizer", PreTokenizerJson(pre)},
                     {"post_processor", PostProcessor(vocabulary, pre)},
                     {"decoder", ByteLevelJson(true)},
                     {"model", model}};
  return file.dump() + "\n";
}

// ---- sentencepiece_model.proto

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes += static_cast<char>(value);
}

std::string NumberField(uint64_t field, uint64_t value) {
  return Varint(field << 3) + Varint(value);
}

std::string BytesField(uint64_t field, std::string_view value) {
  return (Varint(field << 3 | 2) + Varint(value.size())).append(value);
}

std::string FloatField(uint64_t field, float value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return Varint(field << 3 | 5) + bytes;
}

std::vector<double> Scores(const GgufVocabulary& vocabulary) {
  const auto scores = vocabulary.metadata().Numbers("tokenizer.ggml.scores");
  if (!scores || static_cast<int64_t>(scores->size()) != vocabulary.size()) {
    throw MakeError<DataError>("{}: tokenizer.ggml.scores has {} entries, expected {}",
                               vocabulary.path(), scores ? scores->size() : 0, vocabulary.size());
  }
  return *scores;
}

// Whether a text begins as if a space were in front of it.
bool AddsPrefix(const GgufVocabulary& vocabulary) {
  return vocabulary.metadata().Bool("tokenizer.ggml.add_space_prefix").value_or(true);
}

std::string SentencePieceModel(const GgufVocabulary& vocabulary) {
  const std::vector<double> scores = Scores(vocabulary);
  std::string model;
  bool has_bytes = false;
  for (int64_t id = 0; id < vocabulary.size(); ++id) {
    const GgufTokenType type = vocabulary.Type(id);
    has_bytes = has_bytes || type == GgufTokenType::kByte;
    model += BytesField(1, BytesField(1, vocabulary.Token(id)) +
                               FloatField(2, static_cast<float>(scores[static_cast<size_t>(id)])) +
                               NumberField(3, static_cast<uint64_t>(type)));
  }
  constexpr uint64_t kBpe = 2;
  std::string trainer = NumberField(3, kBpe) + NumberField(35, has_bytes ? 1 : 0);
  // An id of -1 says that there is no such token.
  const auto special = [&](uint64_t field, const char* name) {
    trainer += NumberField(field, static_cast<uint64_t>(vocabulary.Special(name).value_or(-1)));
  };
  special(40, "unknown");
  special(41, "bos");
  special(42, "eos");
  const std::string normalizer = BytesField(1, "identity") +
                                 NumberField(3, AddsPrefix(vocabulary) ? 1 : 0) +
                                 NumberField(4, 0) + NumberField(5, 1);
  return model + BytesField(2, trainer) + BytesField(3, normalizer);
}

// ---- what goes beside either

// The names of special tokens, and the template of chats.
Json CommonConfig(const GgufVocabulary& vocabulary) {
  Json config = {{"clean_up_tokenization_spaces", false}};
  for (const auto& [name, key] :
       {std::pair{"bos", "bos_token"}, std::pair{"eos", "eos_token"},
        std::pair{"unknown", "unk_token"}, std::pair{"padding", "pad_token"}}) {
    if (const auto id = vocabulary.Special(name)) config[key] = vocabulary.Token(*id);
  }
  const auto chat = vocabulary.metadata().String("tokenizer.chat_template");
  if (chat && !InvalidUtf8At(*chat)) config["chat_template"] = *chat;
  return config;
}

Json SpecialIds(const GgufVocabulary& vocabulary) {
  Json ids = Json::object();
  if (const auto bos = vocabulary.Special("bos")) ids["bos_token_id"] = *bos;
  if (const auto eos = vocabulary.Special("eos")) ids["eos_token_id"] = *eos;
  return ids;
}

// Where `generate` stops: at the end of a text, of a turn and of a message.
Json GenerationConfig(const GgufVocabulary& vocabulary) {
  Json config = SpecialIds(vocabulary);
  Json ends = Json::array();
  for (const char* name : {"eos", "eot", "eom"}) {
    const auto id = vocabulary.Special(name);
    if (id && std::find(ends.begin(), ends.end(), *id) == ends.end()) ends.push_back(*id);
  }
  if (ends.size() > 1) config["eos_token_id"] = std::move(ends);
  return config;
}

}  // namespace

Json SpecialIdsOfGguf(const GgufFile& file, int64_t vocab_size) {
  return SpecialIds(GgufVocabulary(file, vocab_size));
}

std::map<std::string, std::string> TokenizerOfGguf(const GgufFile& file, int64_t vocab_size) {
  const GgufVocabulary vocabulary(file, vocab_size);
  const auto kind = file.metadata().String("tokenizer.ggml.model");
  std::map<std::string, std::string> files;
  Json config = CommonConfig(vocabulary);
  if (kind == "gpt2") {
    // The tokens around a text are in tokenizer.json.
    config["tokenizer_class"] = "PreTrainedTokenizerFast";
    files["tokenizer.json"] = TokenizerJson(vocabulary);
  } else if (kind == "llama") {
    config["tokenizer_class"] = "LlamaTokenizer";
    config["legacy"] = true;
    config["add_bos_token"] = AddsBos(vocabulary, true);
    config["add_eos_token"] = AddsEos(vocabulary);
    if (!AddsPrefix(vocabulary)) config["add_prefix_space"] = false;
    files["tokenizer.model"] = SentencePieceModel(vocabulary);
  } else {
    throw MakeError<DataError>("{}: tokenizer.ggml.model {}; supported: gpt2, llama",
                               vocabulary.path(),
                               kind ? fmt::format("'{}' is not supported", *kind) : "is missing");
  }
  files["tokenizer_config.json"] = config.dump(2) + "\n";
  files["generation_config.json"] = GenerationConfig(vocabulary).dump(2) + "\n";
  return files;
}

}  // namespace condense
