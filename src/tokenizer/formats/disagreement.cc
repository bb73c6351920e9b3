#include "tokenizer/formats/disagreement.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <tuple>

#include "base/log.h"
#include "base/strings.h"
#include "tokenizer/formats/settings.h"

namespace condense {

namespace {

void SayOnce(std::string message) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (const auto [entry, is_new] = said.insert(std::move(message)); is_new) {
    LogWarning("{}", *entry);
  }
}

std::string Spelled(const std::vector<TokenId>& ids, const PipelineParts& parts) {
  std::vector<std::string> tokens;
  for (const TokenId id : ids) tokens.push_back("\"" + *parts.vocabulary.Token(id) + "\"");
  return tokens.empty() ? "nothing" : Join(tokens, " ");
}

// What a flag such as add_bos_token asks for differs from what the file does.
void SayIgnoredFlag(std::string_view class_name, const char* key, std::optional<bool> flag,
                    const std::vector<TokenId>& ids, std::optional<TokenId> token,
                    const PipelineParts& parts) {
  const bool present = token && std::find(ids.begin(), ids.end(), *token) != ids.end();
  if (!flag || *flag == (token ? present : !ids.empty())) return;
  SayOnce(fmt::format(
      "tokenizer_config.json: {} is {}, but {} goes by tokenizer.json, which puts {} {} a text",
      key, *flag, class_name, Spelled(ids, parts),
      key == std::string_view("add_bos_token") ? "in front of" : "after"));
}

}  // namespace

void SayUnknownClass(const std::string& name) {
  SayOnce(fmt::format(
      "the tokenizer_class '{}' is not known, so the tokenizer is taken as its files have it; known: "
      "{}",
      name, Join(TokenizerClassNames(), ", ")));
}

void SayDifferentNames(const std::map<std::string, NamedToken>& config,
                       const std::map<std::string, NamedToken>& map, bool config_holds) {
  for (const auto& [role, named] : map) {
    const auto other = config.find(role);
    if (other == config.end() || other->second.token.content == named.token.content) continue;
    const std::string_view in_config = other->second.token.content;
    const std::string_view in_map = named.token.content;
    SayOnce(fmt::format(
        "{} is \"{}\" in tokenizer_config.json and \"{}\" in special_tokens_map.json; {} holds{}",
        role, in_config, in_map, config_holds ? "tokenizer_config.json" : "special_tokens_map.json",
        config_holds ? ", as it has added_tokens_decoder" : ""));
  }
}

void SayDifferentIds(const std::vector<NamedToken>& decoder, const std::vector<NamedToken>& file,
                     bool decoder_holds) {
  if (!decoder_holds) return;
  for (const NamedToken& named : file) {
    const auto same = std::find_if(decoder.begin(), decoder.end(), [&](const NamedToken& other) {
      return other.token.content == named.token.content;
    });
    if (same != decoder.end() && same->token.id == named.token.id) continue;
    SayOnce(fmt::format(
        "{}: \"{}\" has the id {}, but tokenizer_config.json {}; tokenizer_config.json holds",
        named.where, named.token.content, named.token.id,
        same == decoder.end() ? "does not add it"
                              : fmt::format("gives it the id {}", same->token.id)));
  }
}

void SayDifferentTemplate(const TokenizerSettings& settings, const PipelineParts& parts) {
  if (settings.known_class == nullptr) return;
  const auto id_of = [&](const char* role) -> std::optional<TokenId> {
    const auto named = settings.roles.find(role);
    return named == settings.roles.end() ? std::nullopt
                                         : parts.vocabulary.Find(named->second.token.content);
  };
  const auto bos = id_of("bos_token"), eos = id_of("eos_token");
  if (!settings.known_class->replaces_template) {
    SayIgnoredFlag(settings.class_name, "add_bos_token", settings.add_bos_token, parts.prefix, bos,
                   parts);
    SayIgnoredFlag(settings.class_name, "add_eos_token", settings.add_eos_token, parts.suffix, eos,
                   parts);
    return;
  }
  std::vector<TokenId> prefix, suffix;
  if (settings.add_bos_token.value_or(settings.known_class->adds_bos) && bos) prefix = {*bos};
  if (settings.add_eos_token.value_or(false) && eos) suffix = {*eos};
  if (prefix == parts.prefix && suffix == parts.suffix) return;
  SayOnce(
      fmt::format("tokenizer.json puts {} in front of a text and {} after it, but {} goes by "
                  "tokenizer_config.json: {} and {}",
                  Spelled(parts.prefix, parts), Spelled(parts.suffix, parts), settings.class_name,
                  Spelled(prefix, parts), Spelled(suffix, parts)));
}

void SayImpliedClass(const TokenizerSettings& settings, const std::string& path,
                     const PipelineParts& parts) {
  const TokenizerClass* implied = FindTokenizerClass(settings.implied_class_name);
  if (implied == nullptr || !implied->adds_bos) return;
  const char* bos = implied->roles.front().second;
  const auto id = parts.vocabulary.Find(bos);
  if (id && parts.prefix == std::vector<TokenId>{*id}) return;
  SayOnce(fmt::format(
      "{} is taken as it stands, and puts {} in front of a text; AutoTokenizer takes {} by "
      "config.json, and puts \"{}\" there; tokenizer_config.json with {{\"tokenizer_class\": "
      "\"{}\"}} would say so",
      path, Spelled(parts.prefix, parts), implied->name, bos, implied->name));
}

void SayNewIds(const std::vector<NamedToken>& tokens, int64_t size, const PipelineParts& parts) {
  for (const NamedToken& named : tokens) {
    const auto& [token, where] = std::tie(named.token, named.where);
    const auto id = parts.vocabulary.Find(token.content);
    if (!id || *id == token.id || (token.id < 0 && *id < size)) continue;
    const std::string_view what = *id < size ? "has" : "is not in the vocabulary and gets";
    SayOnce(fmt::format("{}: \"{}\" {} the id {}{}", where, token.content, what, *id,
                        token.id < 0 ? std::string(", for which the model may have no embedding")
                                     : fmt::format(", not {}", token.id)));
  }
}

}  // namespace condense
