// Settings into the parts of a tokenizer, in the order in which transformers does it.
#include <algorithm>
#include <set>

#include "base/error.h"
#include "tokenizer/formats/disagreement.h"
#include "tokenizer/formats/settings.h"

namespace condense {

namespace {

// Those of the list of added tokens, if the token is there.
void TakeFlags(const std::vector<NamedToken>& added, NamedToken& named) {
  for (const NamedToken& other : added) {
    if (!other.from_file || other.token.content != named.token.content) continue;
    named.token = other.token;
    named.has_flags = true;
    named.token.id = -1;
    return;
  }
}

// All tokens that have a role, of those alike the first, then others.
std::vector<NamedToken> NamedInOrder(const TokenizerSettings& settings) {
  std::vector<NamedToken> named;
  for (const char* role : kTokenRoles) {
    const auto found = settings.roles.find(role);
    if (found != settings.roles.end()) named.push_back(found->second);
  }
  const size_t with_role = named.size();
  named.insert(named.end(), settings.additional.begin(), settings.additional.end());
  std::set<std::string> seen;
  std::vector<NamedToken> unlike;
  for (size_t i = 0; i < named.size(); ++i) {
    if (seen.contains(named[i].token.content)) continue;
    if (i < with_role) {
      seen.insert(named[i].token.content);
      if (named[i].from_file) TakeFlags(settings.added, named[i]);
    }
    unlike.push_back(named[i]);
  }
  return unlike;
}

// An added token with the same flags.
bool IsThere(const AddedToken& token, const PipelineParts& parts) {
  return std::any_of(parts.added.begin(), parts.added.end(), [&](const AddedToken& other) {
    return other.content == token.content && other.special == token.special &&
           HaveSameFlags(other, token);
  });
}

void AddTokens(const TokenizerSettings& settings, PipelineParts& parts) {
  const std::vector<NamedToken> named = NamedInOrder(settings);
  std::vector<NamedToken> batch;
  std::set<std::string> known, special;
  for (const AddedToken& token : parts.added) known.insert(token.content);
  for (const NamedToken& each : settings.added) {
    known.insert(each.token.content);
    if (!IsThere(each.token, parts)) batch.push_back(each);
  }
  for (const NamedToken& each : named) {
    special.insert(each.token.content);
    // A name alone does not change a token that is there.
    if (each.has_flags || !known.contains(each.token.content)) batch.push_back(each);
  }
  const int64_t size = parts.vocabulary.size();
  std::vector<NamedToken> added = batch;
  for (NamedToken& each : added) {
    each.token.special = each.token.special || special.contains(each.token.content);
    if (each.token.special && each.token.normalized_if_plain) each.token.normalized = false;
    each.token.id = -1;  // the library goes by the vocabulary, and gives ids in order
  }
  parts.Add(added);
  std::vector<NamedToken> listed = settings.added;
  listed.insert(listed.end(), named.begin(), named.end());
  SayNewIds(listed, size, parts);
}

std::optional<TokenId> IdOfRole(const TokenizerSettings& settings, const char* role,
                                const PipelineParts& parts) {
  const auto named = settings.roles.find(role);
  if (named == settings.roles.end()) return std::nullopt;
  return parts.vocabulary.Find(named->second.token.content);
}

TokenId Required(std::optional<TokenId> id, const char* option, const char* role) {
  if (id) return *id;
  throw MakeError<DataError>(
      "tokenizer_config.json: {} holds, but no {} is named; name one, or set {} to false", option,
      role, option);
}

// What is added for a role. Where its name is "", the library has the unknown token.
std::optional<TokenId> Added(const TokenizerSettings& settings, const char* role,
                             std::optional<TokenId> id, const PipelineParts& parts) {
  if (!settings.empty_names.contains(role)) return id;
  return IdOfRole(settings, "unk_token", parts);
}

// Puts a token at one end of what is added, or takes it away.
void SetEnd(bool wanted, std::optional<TokenId> token, const char* option, const char* role,
            bool at_front, std::vector<TokenId>& ids) {
  const bool present = token && !ids.empty() && (at_front ? ids.front() : ids.back()) == *token;
  if (wanted == present) return;
  const auto place = at_front ? ids.begin() : ids.end() - (present ? 1 : 0);
  if (present) {
    ids.erase(place);
  } else {
    ids.insert(place, Required(token, option, role));
  }
}

}  // namespace

void TakeAddedTokens(std::vector<NamedToken> tokens, TokenizerSettings& settings) {
  if (settings.has_decoder) return;
  std::set<TokenId> ids;
  for (NamedToken& each : tokens) {
    ids.insert(each.token.id);
    each.has_flags = each.from_file = true;
  }
  auto& added = settings.added;
  std::erase_if(added, [&](const NamedToken& each) { return ids.contains(each.token.id); });
  added.insert(added.end(), tokens.begin(), tokens.end());
  std::stable_sort(added.begin(), added.end(),
                   [](const auto& a, const auto& b) { return a.token.id < b.token.id; });
}

void ApplySettings(const TokenizerSettings& settings, PipelineParts& parts) {
  AddTokens(settings, parts);
  if (const auto bos = IdOfRole(settings, "bos_token", parts)) parts.bos = bos;
  if (const auto eos = IdOfRole(settings, "eos_token", parts)) parts.eos = eos;
  parts.cleans_up_spaces = settings.cleans_up_spaces;
  parts.splits_special_tokens = settings.splits_special_tokens;
  if (settings.add_bos_token) {
    SetEnd(*settings.add_bos_token, Added(settings, "bos_token", parts.bos, parts), "add_bos_token",
           "bos_token", true, parts.prefix);
  }
  if (settings.add_eos_token) {
    SetEnd(*settings.add_eos_token, Added(settings, "eos_token", parts.eos, parts), "add_eos_token",
           "eos_token", false, parts.suffix);
  }
}

}  // namespace condense
