// Reads vocab.json + merges.txt, the older files of GPT-2 and OPT: byte-level BPE.
//
// Their regular expression and defaults are not in the files but in the class that
// tokenizer_config.json names, GPT2Tokenizer. For OPT it puts </s> in front (add_bos_token).
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "tokenizer/components/byte_alphabet.h"
#include "tokenizer/components/pipeline.h"
#include "tokenizer/formats/loaders.h"
#include "tokenizer/formats/merges.h"
#include "tokenizer/formats/settings.h"

namespace condense {

namespace {

void ReadVocabulary(TokenizerFolder& folder, Vocabulary& vocabulary) {
  const JsonFile file = folder.ReadJson("vocab.json");
  const JsonNode root = file.root();
  if (!root.IsObject()) {
    throw MakeError<DataError>("{}: expected an object of tokens and ids", root.where());
  }
  for (const auto& [token, id] : root.value().items()) {
    vocabulary.Add(token, JsonNode(&id, root.Child(token)).Integer(), root.where());
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    if (vocabulary.Find(EncodeBytes({&raw, 1}))) continue;
    throw MakeError<DataError>(
        "{}: no token for the byte 0x{:02X}, so this is not a byte-level vocabulary like GPT-2's",
        root.where(), byte);
  }
}

std::vector<BpeMerge> ReadMerges(TokenizerFolder& folder, const Vocabulary& vocabulary) {
  const std::string text = folder.Read("merges.txt");
  const std::string path = folder.PathOf("merges.txt");
  MergeReader reader(vocabulary);
  std::string_view rest = text;
  for (bool first = true; !rest.empty(); first = false) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (first && line.starts_with("#version")) continue;
    reader.AddLine(line, path);
  }
  return reader.merges();
}

// Of Qwen2 (Yang et al. 2024); the digits are single ones.
constexpr std::string_view kQwenWords =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Whether the class is Qwen2Tokenizer, else it is GPT2Tokenizer or not named.
bool RequireSupported(const TokenizerFolder& folder, const TokenizerSettings& settings) {
  std::string_view name = settings.class_name;
  if (name.ends_with("Fast")) name.remove_suffix(4);
  if (name == "Qwen2Tokenizer") return true;
  if (name.empty() || name == "GPT2Tokenizer") return false;
  throw MakeError<DataError>(
      "{}: vocab.json and merges.txt of the tokenizer_class '{}' are not supported, only those of "
      "GPT2Tokenizer and Qwen2Tokenizer; add the model's tokenizer.json to the folder",
      folder.PathOf("tokenizer_config.json"), settings.class_name);
}

// Adds what the configuration leaves out. The vocabulary of fairseq begins with <s>, <pad>, </s>,
// <unk>; it is OPT's, whose BOS is </s>. GPT-2's own token serves as BOS and EOS.
void FillIn(const Vocabulary& vocabulary, TokenizerSettings& settings) {
  const auto name = [&](const char* role, std::string_view content) {
    if (settings.unnamed.contains(role)) return;
    AddedToken token;
    token.content = content;
    token.special = true;
    settings.roles.emplace(role, NamedToken{token, "vocab.json"});
  };
  const auto at = [&](std::string_view token, TokenId id) { return vocabulary.Find(token) == id; };
  const bool fairseq = at("<s>", 0) && at("<pad>", 1) && at("</s>", 2) && at("<unk>", 3);
  if (fairseq && !settings.has_config) {
    for (const char* role : {"bos_token", "eos_token", "unk_token"}) name(role, "</s>");
    name("pad_token", "<pad>");
    settings.add_bos_token = true;
  } else if (!fairseq && vocabulary.Find("<|endoftext|>")) {
    for (const char* role : {"bos_token", "eos_token", "unk_token"}) name(role, "<|endoftext|>");
  }
}

}  // namespace

std::unique_ptr<Tokenizer> LoadVocabAndMerges(TokenizerFolder& folder) {
  PipelineParts parts;
  ReadVocabulary(folder, parts.vocabulary);
  TokenizerSettings settings = ReadSettings(folder);
  const bool like_qwen = RequireSupported(folder, settings);
  if (!like_qwen) {
    FillIn(parts.vocabulary, settings);
    MakeTokensOfNames({"bos_token", "eos_token", "unk_token", "pad_token"}, true, settings);
  }
  if (like_qwen) {
    parts.normalizer.Unicode(NormalForm::kNfc);
    parts.pre_tokenizer.Split({Pattern::Regex(kQwenWords, "the expression of Qwen2")});
    settings.add_bos_token = std::nullopt;
  }
  settings.add_eos_token = std::nullopt;  // which neither class heeds
  parts.pre_tokenizer.ByteLevel(settings.add_prefix_space.value_or(false), !like_qwen);
  BpeOptions options;
  options.byte_level = true;
  parts.model.emplace(parts.vocabulary, ReadMerges(folder, parts.vocabulary), options);
  parts.decoder.ByteLevel();
  ApplySettings(settings, parts);
  return MakePipeline(std::move(parts), folder.FinishDigest());
}

}  // namespace condense
