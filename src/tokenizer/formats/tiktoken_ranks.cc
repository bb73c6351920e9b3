// Reads tokenizer.model of LLaMA-3: one line "<base64 of the token> <rank>" per token.
//
// There is no merge list: the neighbouring pair whose joined bytes have the lowest rank is joined,
// and a word that is a token is not split. The splitting expression and the special tokens are
// those of Meta's program (llama_models/llama3/tokenizer.py); the file has neither.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "tokenizer/components/byte_alphabet.h"
#include "tokenizer/components/pipeline.h"
#include "tokenizer/formats/loaders.h"
#include "tokenizer/formats/settings.h"

namespace condense {

namespace {

constexpr std::string_view kLlama3Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// These follow the ranks, in this order; further reserved tokens follow them.
constexpr const char* kSpecialTokens[] = {"<|begin_of_text|>",
                                          "<|end_of_text|>",
                                          "<|reserved_special_token_0|>",
                                          "<|reserved_special_token_1|>",
                                          "<|finetune_right_pad_id|>",
                                          "<|reserved_special_token_2|>",
                                          "<|start_header_id|>",
                                          "<|end_header_id|>",
                                          "<|eom_id|>",
                                          "<|eot_id|>"};
constexpr int64_t kMostSpecialTokens = 256;

std::optional<std::string> DecodeBase64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char digit : text.substr(0, text.size() - padding)) {
    const size_t value = kDigits.find(digit);
    if (value == kDigits.npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFF);
  }
  return bytes;
}

struct Rank {
  std::string bytes;
  TokenId rank = 0;
};

std::optional<Rank> ParseLine(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == line.npos) return std::nullopt;
  auto bytes = DecodeBase64(line.substr(0, space));
  if (!bytes) return std::nullopt;
  Rank rank{std::move(*bytes)};
  const char* end = line.data() + line.size();
  const auto parsed = std::from_chars(line.data() + space + 1, end, rank.rank);
  if (parsed.ec != std::errc() || parsed.ptr != end || rank.rank < 0) return std::nullopt;
  return rank;
}

std::vector<Rank> ReadRanks(std::string_view text, const std::string& path) {
  std::vector<Rank> ranks;
  for (size_t line_number = 1; !text.empty(); ++line_number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    auto rank = ParseLine(line);
    if (!rank) {
      throw MakeError<DataError>("{}:{}: expected '<base64> <rank>', found '{}'", path, line_number,
                                 Quotable(line));
    }
    ranks.push_back(std::move(*rank));
  }
  return ranks;
}

// Every way to make a token of two others is a merge of the token's rank.
std::vector<BpeMerge> MergesOfRanks(const std::vector<Rank>& ranks) {
  std::unordered_map<std::string_view, TokenId> ids;
  ids.reserve(ranks.size());
  for (const Rank& rank : ranks) ids.emplace(rank.bytes, rank.rank);
  std::vector<BpeMerge> merges;
  merges.reserve(2 * ranks.size());
  for (const auto& [bytes, rank] : ranks) {
    const std::string_view token = bytes;
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut));
      if (left == ids.end()) continue;
      const auto right = ids.find(token.substr(cut));
      if (right == ids.end()) continue;
      merges.push_back({left->second, right->second, rank, static_cast<uint32_t>(rank)});
    }
  }
  return merges;
}

// Besides the ten that are always there, as many as the model's vocab_size has room for.
void DefineSpecialTokens(TokenizerFolder& folder, PipelineParts& parts) {
  const int64_t first = parts.vocabulary.size();
  const auto define = [&](std::string content) {
    AddedToken token;
    token.content = std::move(content);
    token.id = static_cast<TokenId>(parts.vocabulary.size());
    token.special = true;
    parts.Add({{token, folder.PathOf("tokenizer.model")}});
  };
  for (const char* content : kSpecialTokens) define(content);
  const auto config = folder.ReadJsonIfPresent("config.json");
  const auto model_size = config ? config->root().Find("vocab_size") : std::nullopt;
  if (!model_size) return;
  const int64_t end = std::min(model_size->Integer(), first + kMostSpecialTokens);
  if (parts.vocabulary.size() < end) define("<|python_tag|>");
  for (int number = 3; parts.vocabulary.size() < end; ++number) {
    define(fmt::format("<|reserved_special_token_{}|>", number));
  }
}

}  // namespace

bool LooksLikeTiktokenRanks(std::string_view bytes) {
  std::string_view line = bytes.substr(0, std::min<size_t>(bytes.find('\n'), 4096));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return ParseLine(line).has_value();
}

std::unique_ptr<Tokenizer> LoadTiktokenRanks(TokenizerFolder& folder, std::string_view bytes) {
  const std::string path = folder.PathOf("tokenizer.model");
  const std::vector<Rank> ranks = ReadRanks(bytes, path);
  PipelineParts parts;
  for (const Rank& rank : ranks) parts.vocabulary.Add(EncodeBytes(rank.bytes), rank.rank, path);
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    if (!parts.vocabulary.Find(EncodeBytes({&raw, 1}))) {
      throw MakeError<DataError>("{}: no token for the byte 0x{:02X}", path, byte);
    }
  }
  parts.pre_tokenizer.Split({Pattern::Regex(kLlama3Words, "the expression of LLaMA-3")});
  parts.pre_tokenizer.ByteLevel(false, false);
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = true;
  parts.model.emplace(parts.vocabulary, MergesOfRanks(ranks), options);
  parts.decoder.ByteLevel();
  TokenizerSettings settings = ReadSettings(folder);
  if (settings.added.empty()) DefineSpecialTokens(folder, parts);
  for (const auto& [role, content] :
       {std::pair("bos_token", kSpecialTokens[0]), std::pair("eos_token", kSpecialTokens[1])}) {
    AddedToken token;
    token.content = content;
    token.special = true;
    settings.roles.emplace(role, NamedToken{token, path});
  }
  if (!settings.add_bos_token) settings.add_bos_token = true;
  ApplySettings(settings, parts);
  return MakePipeline(std::move(parts), folder.FinishDigest());
}

}  // namespace condense
