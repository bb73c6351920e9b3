// Reads tokenizer.json, the file of the library `tokenizers`: BPE models, byte-level or
// SentencePiece-like, and unigram models. Truncation and padding settings concern batches and are
// ignored.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "tokenizer/components/pipeline.h"
#include "tokenizer/formats/disagreement.h"
#include "tokenizer/formats/loaders.h"
#include "tokenizer/formats/merges.h"
#include "tokenizer/formats/settings.h"

namespace condense {

namespace {

void ReadVocabulary(const JsonNode& node, Vocabulary& vocabulary) {
  if (!node.IsObject()) {
    throw MakeError<DataError>("{}: expected an object of tokens and ids", node.where());
  }
  for (const auto& [token, id] : node.value().items()) {
    vocabulary.Add(token, JsonNode(&id, node.Child(token)).Integer(), node.where());
  }
}

std::vector<BpeMerge> ReadMerges(const JsonNode& node, const Vocabulary& vocabulary) {
  if (!node.IsArray()) throw MakeError<DataError>("{}: expected an array", node.where());
  MergeReader reader(vocabulary);
  for (const nlohmann::json& merge : node.value()) {
    if (merge.is_string()) {
      reader.AddLine(merge.get_ref<const std::string&>(), node.where());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      reader.Add(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>(),
                 node.where());
    } else {
      throw MakeError<DataError>("{}: merge {} is neither \"a b\" nor [\"a\", \"b\"]", node.where(),
                                 reader.merges().size() + 1);
    }
  }
  return reader.merges();
}

void RequireEmpty(const JsonNode& model, const char* key) {
  const std::string affix = model.StringOr(key, "");
  if (affix.empty()) return;
  throw MakeError<DataError>("{}: \"{}\" (here \"{}\") is not supported", model.where(), key,
                             affix);
}

std::optional<TokenId> FindUnknown(const JsonNode& model, const Vocabulary& vocabulary) {
  const auto node = model.Find("unk_token");
  if (!node) return std::nullopt;
  if (const auto id = vocabulary.Find(node->String())) return id;
  throw MakeError<DataError>("{}: the vocabulary lacks the unknown token \"{}\"", node->where(),
                             node->String());
}

void ReadBpe(const JsonNode& model, PipelineParts& parts) {
  RequireEmpty(model, "continuing_subword_prefix");
  RequireEmpty(model, "end_of_word_suffix");
  if (const auto dropout = model.Find("dropout"); dropout && dropout->value() != 0) {
    throw MakeError<DataError>("{}: dropout makes ids random and is not supported",
                               dropout->where());
  }
  ReadVocabulary(model.At("vocab"), parts.vocabulary);
  BpeOptions options;
  options.byte_level = parts.pre_tokenizer.byte_level();
  options.byte_fallback = model.BoolOr("byte_fallback", false);
  options.ignore_merges = model.BoolOr("ignore_merges", false);
  options.fuse_unknown = model.BoolOr("fuse_unk", false);
  options.unknown = FindUnknown(model, parts.vocabulary);
  parts.model.emplace(parts.vocabulary, ReadMerges(model.At("merges"), parts.vocabulary), options);
}

// "vocab": [["<unk>", 0.0], ["a", -1.5], ...], in the order of the ids.
void ReadUnigram(const JsonNode& model, PipelineParts& parts) {
  const JsonNode list = model.At("vocab");
  if (!list.IsArray()) throw MakeError<DataError>("{}: expected an array", list.where());
  std::vector<double> scores;
  for (const nlohmann::json& entry : list.value()) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      throw MakeError<DataError>("{}: entry {} is not [\"token\", score]", list.where(),
                                 scores.size());
    }
    parts.vocabulary.Add(entry[0].get_ref<const std::string&>(),
                         static_cast<int64_t>(scores.size()), list.where());
    scores.push_back(entry[1].get<double>());
  }
  UnigramOptions options;
  options.byte_fallback = model.BoolOr("byte_fallback", false);
  if (const auto unknown = model.Find("unk_id")) {
    if (parts.vocabulary.Token(unknown->Integer()) == nullptr) {
      throw MakeError<DataError>("{}: {} is not one of the {} tokens", unknown->where(),
                                 unknown->Integer(), scores.size());
    }
    options.unknown = static_cast<TokenId>(unknown->Integer());
  }
  parts.pre_tokenizer.SpellBytes();
  parts.unigram.emplace(parts.vocabulary, std::move(scores), options);
}

void ReadModel(const JsonNode& model, PipelineParts& parts) {
  // Older files do not name the type.
  const auto vocabulary = model.Find("vocab");
  const std::string otherwise = vocabulary && vocabulary->IsArray() ? "Unigram" : "BPE";
  const std::string type = model.StringOr("type", otherwise);
  if (type == "BPE") return ReadBpe(model, parts);
  if (type == "Unigram") return ReadUnigram(model, parts);
  throw MakeError<DataError>("{}: unsupported model type '{}'; supported: BPE, Unigram",
                             model.where(), type);
}

// The ids of {"SpecialToken": {"id": "<s>"}} by the template's own table.
std::vector<TokenId> TemplateIds(const JsonNode& item, const JsonNode& table,
                                 const Vocabulary& vocabulary) {
  const JsonNode entry = table.At(item.At("id").String());
  std::vector<TokenId> ids;
  for (const JsonNode& node : entry.At("ids").Elements()) {
    if (vocabulary.Token(node.Integer()) == nullptr) {
      throw MakeError<DataError>("{}: the vocabulary has no token {}", node.where(),
                                 node.Integer());
    }
    ids.push_back(static_cast<TokenId>(node.Integer()));
  }
  return ids;
}

// [<s>, A, </s>]: what is put in front of a text and after it. Templates for pairs are not needed.
void AddTemplate(const JsonNode& node, PipelineParts& parts) {
  std::vector<TokenId> front, back;
  bool behind = false;
  const JsonNode single = node.At("single");
  for (const JsonNode& item : single.Elements()) {
    if (const auto special = item.Find("SpecialToken")) {
      const auto ids = TemplateIds(*special, node.At("special_tokens"), parts.vocabulary);
      std::vector<TokenId>& side = behind ? back : front;
      side.insert(side.end(), ids.begin(), ids.end());
    } else if (item.At("Sequence").At("id").String() != "A" || behind) {
      throw MakeError<DataError>("{}: expected the text (sequence A) once", single.where());
    } else {
      behind = true;
    }
  }
  if (!behind) throw MakeError<DataError>("{}: the text (sequence A) is missing", single.where());
  parts.prefix.insert(parts.prefix.begin(), front.begin(), front.end());
  parts.suffix.insert(parts.suffix.end(), back.begin(), back.end());
}

void ReadPostProcessor(const JsonNode& node, PipelineParts& parts) {
  const std::string type = node.At("type").String();
  if (type == "Sequence") {
    for (const JsonNode& step : node.At("processors").Elements()) ReadPostProcessor(step, parts);
  } else if (type == "TemplateProcessing") {
    AddTemplate(node, parts);
  } else if (type != "ByteLevel") {  // which changes offsets, not ids
    throw MakeError<DataError>("{}: unsupported post_processor '{}'{}", node.where(), type,
                               SuggestName(type, {"Sequence", "TemplateProcessing", "ByteLevel"}));
  }
}

// What replaces add_prefix_space of a pre-tokenizer that is ByteLevel alone; null in the settings
// leaves the file's.
std::optional<bool> LonePrefixSpace(const TokenizerSettings& settings) {
  if (settings.known_class == nullptr || settings.prefix_space_is_null) return std::nullopt;
  if (settings.known_class->keeps_prefix_space) return std::nullopt;
  return settings.add_prefix_space.value_or(false);
}

// The token of "padding" is the one for padding, unless the settings name one.
void NamePadding(const JsonNode& root, TokenizerSettings& settings) {
  const auto padding = root.Find("padding");
  const auto name = padding ? padding->Find("pad_token") : std::nullopt;
  if (!name || settings.unnamed.contains("pad_token")) return;
  AddedToken token;
  token.content = name->String();
  token.special = true;
  settings.roles.emplace("pad_token", NamedToken{token, name->where()});
}

// A class that is known goes by the template or by add_bos_token and add_eos_token.
void ResolveTemplate(TokenizerSettings& settings, PipelineParts& parts) {
  if (settings.known_class == nullptr) return;
  if (!settings.known_class->replaces_template) {
    settings.add_bos_token = settings.add_eos_token = std::nullopt;
    return;
  }
  parts.prefix.clear();
  parts.suffix.clear();
  if (!settings.add_bos_token) settings.add_bos_token = settings.known_class->adds_bos;
}

// If the settings name no BOS and EOS, they are those of config.json; failing that, BOS is what is
// put in front of a text.
void FindUnnamedBosAndEos(TokenizerFolder& folder, PipelineParts& parts) {
  if (parts.bos && parts.eos) return;
  const auto file = folder.PeekJsonIfPresent("config.json");
  const auto find = [&](const char* key) -> std::optional<TokenId> {
    auto node = file ? file->root().Find(key) : std::nullopt;
    if (node && node->IsArray()) {
      const auto several = node->Elements();
      node = several.empty() ? std::nullopt : std::optional(several.front());
    }
    if (!node || node->Integer() < 0) return std::nullopt;
    if (parts.vocabulary.Token(node->Integer()) == nullptr) {
      throw MakeError<DataError>("{}: the vocabulary has no token {}", node->where(),
                                 node->Integer());
    }
    folder.Note(key, std::to_string(node->Integer()));
    return static_cast<TokenId>(node->Integer());
  };
  if (!parts.bos) parts.bos = find("bos_token_id");
  if (!parts.bos && !parts.prefix.empty()) parts.bos = parts.prefix.front();
  if (!parts.eos) parts.eos = find("eos_token_id");
}

}  // namespace

std::vector<NamedToken> ReadAddedTokens(const JsonNode& root) {
  std::vector<NamedToken> tokens;
  const auto list = root.Find("added_tokens");
  if (!list) return tokens;
  for (const JsonNode& node : list->Elements()) {
    AddedToken token = ReadAddedToken(node);
    const int64_t id = node.At("id").Integer();
    if (id < 0 || id > std::numeric_limits<TokenId>::max()) {
      throw MakeError<DataError>("{}: {} is not a token id", node.where(), id);
    }
    token.id = static_cast<TokenId>(id);
    tokens.push_back({std::move(token), node.where()});
  }
  return tokens;
}

std::unique_ptr<Tokenizer> LoadTokenizerJson(TokenizerFolder& folder) {
  const JsonFile file = folder.ReadJson("tokenizer.json");
  const JsonNode root = file.root();
  TokenizerSettings settings = ReadSettings(folder);
  PipelineParts parts;
  if (const auto node = root.Find("normalizer")) parts.normalizer = ReadNormalizer(*node);
  if (const auto node = root.Find("pre_tokenizer")) {
    parts.pre_tokenizer = ReadPreTokenizer(*node, LonePrefixSpace(settings));
  }
  ReadModel(root.At("model"), parts);
  if (const auto node = root.Find("decoder")) parts.decoder = ReadDecoder(*node);
  std::vector<NamedToken> added = ReadAddedTokens(root);
  parts.Add(added);
  TakeAddedTokens(std::move(added), settings);
  NamePadding(root, settings);
  if (const auto node = root.Find("post_processor")) ReadPostProcessor(*node, parts);
  SayDifferentTemplate(settings, parts);
  SayImpliedClass(settings, folder.PathOf("tokenizer.json"), parts);
  ResolveTemplate(settings, parts);
  ApplySettings(settings, parts);
  FindUnnamedBosAndEos(folder, parts);
  return MakePipeline(std::move(parts), folder.FinishDigest());
}

}  // namespace condense
