#include "tokenizer/formats/settings.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "tokenizer/formats/disagreement.h"

namespace condense {

namespace {

// Names of one file, before they are put together with those of others.
struct Names {
  std::map<std::string, NamedToken> roles;
  std::set<std::string> unnamed, empty;
  std::vector<NamedToken> additional;
};

// A name, or an object that has flags too. special_tokens_map.json makes all of them special.
NamedToken ReadNamedToken(const JsonNode& node, bool in_map) {
  NamedToken named{{}, node.where()};
  named.from_file = true;
  if (node.IsObject()) {
    named.token = ReadAddedToken(node);
    if (in_map) named.token.normalized = node.BoolOr("normalized", false);
    named.has_flags = true;
    named.is_config_object = !in_map;
  } else {
    named.token.content = node.String();
  }
  named.token.special = true;
  return named;
}

Names ReadNames(const JsonNode& root, bool in_map) {
  Names names;
  for (const char* role : kTokenRoles) {
    if (!root.value().contains(role)) continue;
    const auto node = root.Find(role);
    if (!node) {
      names.unnamed.insert(role);
      continue;
    }
    NamedToken named = ReadNamedToken(*node, in_map);
    if (named.token.content.empty()) {
      names.unnamed.insert(role);
      names.empty.insert(role);
    } else {
      names.roles.emplace(role, std::move(named));
    }
  }
  if (const auto list = root.Find("additional_special_tokens")) {
    for (const JsonNode& node : list->Elements()) {
      names.additional.push_back(ReadNamedToken(node, in_map));
    }
  }
  return names;
}

// {"32000": {"content": "<pad>", ...}}
void ReadAddedTokensDecoder(const JsonNode& node, TokenizerSettings& settings) {
  settings.has_decoder = true;
  for (const std::string& key : node.Keys()) {
    const JsonNode member = node.At(key);
    NamedToken named{ReadAddedToken(member), member.where(), /*has_flags=*/true,
                     /*from_file=*/true};
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

// Null is false.
std::optional<bool> FindFlag(const JsonNode& root, const char* key) {
  if (root.value().contains(key)) return root.BoolOr(key, false);
  return std::nullopt;
}

std::optional<bool> FindBool(const JsonNode& root, const char* key) {
  const auto node = root.Find(key);
  if (!node) return std::nullopt;
  return node->Bool();
}

// {"image_token": "<image>"}
void ReadExtraTokens(const JsonNode& node, std::vector<NamedToken>& extra) {
  if (!node.IsObject()) return;
  for (const std::string& key : node.Keys()) {
    extra.push_back(ReadNamedToken(node.At(key), /*in_map=*/false));
  }
}

Names ReadConfig(const JsonNode& root, TokenizerSettings& settings,
                 std::vector<NamedToken>& extra) {
  settings.has_config = true;
  settings.class_name = root.StringOr("tokenizer_class", "");
  settings.add_bos_token = FindFlag(root, "add_bos_token");
  settings.add_eos_token = FindFlag(root, "add_eos_token");
  settings.add_prefix_space = FindBool(root, "add_prefix_space");
  settings.prefix_space_is_null =
      root.value().contains("add_prefix_space") && !settings.add_prefix_space;
  settings.legacy = FindBool(root, "legacy");
  settings.cleans_up_spaces = root.BoolOr("clean_up_tokenization_spaces", false);
  settings.splits_special_tokens = root.BoolOr("split_special_tokens", false);
  if (const auto node = root.Find("added_tokens_decoder")) ReadAddedTokensDecoder(*node, settings);
  if (const auto node = root.Find("extra_special_tokens")) ReadExtraTokens(*node, extra);
  return ReadNames(root, /*in_map=*/false);
}

// Where both files name a role, those of `later` come first.
void Merge(Names later, Names& names) {
  for (const std::string& role : later.unnamed) {
    names.roles.erase(role);
    names.unnamed.insert(role);
    names.empty.erase(role);
  }
  names.empty.insert(later.empty.begin(), later.empty.end());
  for (auto& [role, named] : later.roles) {
    names.unnamed.erase(role);
    names.empty.erase(role);
    names.roles.insert_or_assign(role, std::move(named));
  }
  for (NamedToken& named : later.additional) names.additional.push_back(std::move(named));
}

// {"<pad>": 32000}, of files older than added_tokens_decoder. The library does not see there that
// the objects of tokenizer_config.json are special.
std::vector<NamedToken> ReadAddedTokensFile(const JsonNode& root, const Names& names) {
  std::set<std::string_view> special;
  const auto add = [&](const NamedToken& named) {
    if (!named.is_config_object) special.insert(named.token.content);
  };
  for (const auto& [role, named] : names.roles) add(named);
  for (const NamedToken& named : names.additional) add(named);
  std::vector<NamedToken> added;
  for (const std::string& content : root.Keys()) {
    const JsonNode node = root.At(content);
    const int64_t id = node.Integer();
    if (id < 0 || id > std::numeric_limits<TokenId>::max()) {
      throw MakeError<DataError>("{}: {} is not a token id", node.where(), id);
    }
    AddedToken token;
    token.content = content;
    token.id = static_cast<TokenId>(id);
    token.special = special.contains(content);
    token.normalized = !token.special;
    added.push_back({token, node.where(), /*has_flags=*/true});
  }
  std::stable_sort(added.begin(), added.end(),
                   [](const auto& a, const auto& b) { return a.token.id < b.token.id; });
  return added;
}

// The class of config.json. Of a compressed model's, that of the model it was made from.
std::string ClassOfModel(const TokenizerFolder& folder) {
  const auto file = folder.PeekJsonIfPresent("config.json");
  if (!file) return "";
  const JsonNode root = file->root();
  std::string name = root.StringOr("tokenizer_class", "");
  if (name.empty()) {
    std::string type = root.StringOr("model_type", "");
    const auto object = root.Find("condense");
    const auto base = object ? object->Find("base") : std::nullopt;
    if (base) type = base->StringOr("model_type", type);
    name = ClassOfModelType(type);
  }
  return name;
}

void ApplyClass(TokenizerSettings& settings) {
  settings.known_class = FindTokenizerClass(settings.class_name);
  if (settings.known_class == nullptr) {
    if (!settings.class_name.empty()) SayUnknownClass(settings.class_name);
    return;
  }
  for (const auto& [role, content] : settings.known_class->roles) {
    if (settings.unnamed.contains(role) || settings.roles.contains(role)) continue;
    if (std::string_view(content).empty()) {
      settings.unnamed.insert(role);
      continue;
    }
    AddedToken token;
    token.content = content;
    token.special = true;
    const std::string where = fmt::format("{} of {}", role, settings.class_name);
    settings.roles.emplace(role, NamedToken{token, where});
  }
  if (!settings.known_class->makes_tokens_of_names) return;
  MakeTokensOfNames({"bos_token", "eos_token", "unk_token", "pad_token"}, false, settings);
}

// Special tokens that keys of the class name.
void ReadAdditionalOfClass(const JsonNode* config, TokenizerSettings& settings) {
  if (settings.known_class == nullptr) return;
  for (const auto& [key, otherwise] : settings.known_class->additional) {
    if (config != nullptr && config->value().contains(key) && !config->Find(key)) continue;
    AddedToken token;
    token.content = config == nullptr ? otherwise : config->StringOr(key, otherwise);
    token.special = true;
    settings.additional.push_back({token, fmt::format("{} of {}", key, settings.class_name)});
  }
}

}  // namespace

TokenizerSettings ReadSettings(TokenizerFolder& folder) {
  TokenizerSettings settings;
  Names names;
  std::vector<NamedToken> extra;
  const auto config = folder.ReadJsonIfPresent("tokenizer_config.json");
  const std::optional<JsonNode> root = config ? std::optional(config->root()) : std::nullopt;
  if (root) names = ReadConfig(*root, settings, extra);
  if (const auto file = folder.ReadJsonIfPresent("special_tokens_map.json")) {
    settings.has_config = true;
    Names of_map = ReadNames(file->root(), /*in_map=*/true);
    SayDifferentNames(names.roles, of_map.roles, settings.has_decoder);
    if (!settings.has_decoder) Merge(std::move(of_map), names);
  }
  if (const auto file = folder.ReadJsonIfPresent("added_tokens.json")) {
    std::vector<NamedToken> added = ReadAddedTokensFile(file->root(), names);
    SayDifferentIds(settings.added, added, settings.has_decoder);
    if (!settings.has_decoder) settings.added = std::move(added);
  }
  settings.roles = std::move(names.roles);
  settings.unnamed = std::move(names.unnamed);
  settings.empty_names = std::move(names.empty);
  settings.additional = std::move(names.additional);
  if (settings.class_name.empty()) {
    std::string& name = settings.has_config ? settings.class_name : settings.implied_class_name;
    name = ClassOfModel(folder);
    if (!settings.class_name.empty()) folder.Note("the class of config.json", name);
  }
  ApplyClass(settings);
  ReadAdditionalOfClass(root ? &*root : nullptr, settings);
  settings.additional.insert(settings.additional.end(), extra.begin(), extra.end());
  return settings;
}

void MakeTokensOfNames(const std::vector<const char*>& roles, bool normalized,
                       TokenizerSettings& settings) {
  for (const char* role : roles) {
    const auto named = settings.roles.find(role);
    if (named == settings.roles.end() || named->second.has_flags) continue;
    named->second.has_flags = true;
    named->second.token.normalized = normalized;
  }
}

}  // namespace condense
