#include "tokenizer/formats/settings.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace condense {

namespace {

// In the order in which transformers gives new ids.
constexpr const char* kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

NamedToken ReadNamedToken(const JsonNode& node) {
  NamedToken named{{}, node.where()};
  if (node.IsObject()) {
    named.token = ReadAddedToken(node);
    named.token.normalized = node.BoolOr("normalized", false);
  } else {
    named.token.content = node.String();
  }
  named.token.special = true;
  return named;
}

// Does not replace names that are given already.
void ReadNames(const JsonNode& root, TokenizerSettings& settings) {
  for (const char* role : kRoles) {
    const auto node = root.Find(role);
    if (!node) continue;
    NamedToken named = ReadNamedToken(*node);
    if (!named.token.content.empty()) settings.roles.emplace(role, std::move(named));
  }
  const auto additional = root.Find("additional_special_tokens");
  if (!additional) return;
  for (const JsonNode& node : additional->Elements()) {
    settings.additional.push_back(ReadNamedToken(node));
  }
}

// {"32000": {"content": "<pad>", ...}}
void ReadAddedTokensDecoder(const JsonNode& node, TokenizerSettings& settings) {
  for (const std::string& key : node.Keys()) {
    const JsonNode member = node.At(key);
    NamedToken named{ReadAddedToken(member), member.where(), /*sets_flags=*/true};
    const char* end = key.data() + key.size();
    const auto parsed = std::from_chars(key.data(), end, named.token.id);
    if (parsed.ec != std::errc() || parsed.ptr != end || named.token.id < 0) {
      throw MakeError<DataError>("{}: the key \"{}\" is not a token id", node.where(), key);
    }
    settings.added.push_back(std::move(named));
  }
  std::sort(settings.added.begin(), settings.added.end(),
            [](const auto& a, const auto& b) { return a.token.id < b.token.id; });
}

// Of add_bos_token and add_eos_token, null is false.
std::optional<bool> FindFlag(const JsonNode& root, const char* key) {
  if (root.value().contains(key)) return root.BoolOr(key, false);
  return std::nullopt;
}

std::optional<bool> FindBool(const JsonNode& root, std::string_view key) {
  const auto node = root.Find(key);
  if (!node) return std::nullopt;
  return node->Bool();
}

void ReadConfig(const JsonNode& root, TokenizerSettings& settings) {
  settings.has_config = true;
  settings.tokenizer_class = root.StringOr("tokenizer_class", "");
  settings.add_bos_token = FindFlag(root, "add_bos_token");
  settings.add_eos_token = FindFlag(root, "add_eos_token");
  settings.add_prefix_space = FindBool(root, "add_prefix_space");
  settings.legacy = FindBool(root, "legacy");
  const std::string& named = settings.tokenizer_class;
  if (!named.empty() && named != "LlamaTokenizer" && named != "LlamaTokenizerFast") {
    const bool is_null = root.value().contains("add_prefix_space") && !settings.add_prefix_space;
    if (!is_null) settings.byte_level_prefix_space = settings.add_prefix_space.value_or(false);
  }
  ReadNames(root, settings);
  if (const auto node = root.Find("added_tokens_decoder")) ReadAddedTokensDecoder(*node, settings);
}

// {"<pad>": 32000}, of files older than added_tokens_decoder
void ReadAddedTokensFile(const JsonNode& root, TokenizerSettings& settings) {
  for (const std::string& content : root.Keys()) {
    const bool known =
        std::any_of(settings.added.begin(), settings.added.end(),
                    [&](const auto& named) { return named.token.content == content; });
    if (known) continue;
    const JsonNode node = root.At(content);
    const int64_t id = node.Integer();
    if (id < 0 || id > std::numeric_limits<TokenId>::max()) {
      throw MakeError<DataError>("{}: {} is not a token id", node.where(), id);
    }
    AddedToken token;
    token.content = content;
    token.id = static_cast<TokenId>(id);
    token.normalized = true;
    settings.added.push_back({token, node.where()});
  }
}

// A token outside the vocabulary gets the next id, for which a model has no embedding. BOS and EOS
// would be useless there: PipelineParts::Define refuses them.
void DefineRole(const char* role, NamedToken named, PipelineParts& parts) {
  const bool is_end =
      role == std::string_view("bos_token") || role == std::string_view("eos_token");
  if (!is_end && !parts.vocabulary.Find(named.token.content)) {
    named.token.id = static_cast<TokenId>(parts.vocabulary.size());
  }
  parts.Define(named);
}

void SetRole(const TokenizerSettings& settings, const char* role, PipelineParts& parts,
             std::optional<TokenId>& id) {
  const auto named = settings.roles.find(role);
  if (named != settings.roles.end()) id = parts.Define(named->second);
}

TokenId Required(std::optional<TokenId> id, const char* option, const char* role) {
  if (id) return *id;
  throw MakeError<DataError>("tokenizer_config.json: {} is true, but no {} is named", option, role);
}

}  // namespace

TokenizerSettings ReadSettings(TokenizerFolder& folder) {
  TokenizerSettings settings;
  if (const auto file = folder.ReadJsonIfPresent("tokenizer_config.json")) {
    ReadConfig(file->root(), settings);
  }
  if (const auto file = folder.ReadJsonIfPresent("special_tokens_map.json")) {
    settings.has_config = true;
    ReadNames(file->root(), settings);
  }
  if (const auto file = folder.ReadJsonIfPresent("added_tokens.json")) {
    ReadAddedTokensFile(file->root(), settings);
  }
  return settings;
}

void ResolveClass(const Vocabulary& vocabulary, TokenizerSettings& settings) {
  std::string_view name = settings.tokenizer_class;
  if (name.ends_with("Fast")) name.remove_suffix(4);
  if (name == "PreTrainedTokenizer" || name == "GPT2Tokenizer" || name == "Qwen2Tokenizer") {
    settings.add_bos_token = settings.add_eos_token = std::nullopt;
    return;
  }
  const bool like_llama = name == "LlamaTokenizer" || name == "CodeLlamaTokenizer";
  if (!like_llama && name != "GemmaTokenizer" && name != "CohereTokenizer") return;
  const auto name_by_default = [&](const char* role, const char* content) {
    if (!like_llama || !vocabulary.Find(content)) return;
    AddedToken token;
    token.content = content;
    token.special = true;
    settings.roles.emplace(role, NamedToken{token, "tokenizer.json"});
  };
  name_by_default("bos_token", "<s>");
  name_by_default("eos_token", "</s>");
  settings.replaces_template = true;
  if (!settings.add_bos_token) settings.add_bos_token = settings.roles.contains("bos_token");
}

void ApplySettings(const TokenizerSettings& settings, PipelineParts& parts) {
  for (const NamedToken& named : settings.added) parts.Define(named);
  for (const char* role : kRoles) {
    const auto named = settings.roles.find(role);
    if (named != settings.roles.end()) DefineRole(role, named->second, parts);
  }
  for (const NamedToken& named : settings.additional) DefineRole("additional", named, parts);
  SetRole(settings, "bos_token", parts, parts.bos);
  SetRole(settings, "eos_token", parts, parts.eos);
  if (settings.add_bos_token) {
    const bool present = parts.bos && !parts.prefix.empty() && parts.prefix.front() == *parts.bos;
    if (*settings.add_bos_token && !present) {
      parts.prefix.insert(parts.prefix.begin(), Required(parts.bos, "add_bos_token", "bos_token"));
    } else if (!*settings.add_bos_token && present) {
      parts.prefix.erase(parts.prefix.begin());
    }
  }
  if (settings.add_eos_token) {
    const bool present = parts.eos && !parts.suffix.empty() && parts.suffix.back() == *parts.eos;
    if (*settings.add_eos_token && !present) {
      parts.suffix.push_back(Required(parts.eos, "add_eos_token", "eos_token"));
    } else if (!*settings.add_eos_token && present) {
      parts.suffix.pop_back();
    }
  }
}

}  // namespace condense
