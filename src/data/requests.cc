#include "data/requests.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/strings.h"
#include "data/text/jsonl.h"
#include "data/text/leading_token.h"
#include "data/text/python_text.h"

namespace condense {
namespace {

const std::vector<RequestProtocol>& KnownProtocols() {
  static const std::vector<RequestProtocol> known{
      {"lmeval-bos", SpecialTokens::kAdd, PairEncoding::kJoint, PrefixToken::kBosOrEos},
      {"lmeval-nobos", SpecialTokens::kNone, PairEncoding::kJoint, PrefixToken::kBosOrEos},
      {"lmeval-0.3", SpecialTokens::kNone, PairEncoding::kSeparate, PrefixToken::kEos},
  };
  return known;
}

// The beginning of a text, for messages.
std::string Excerpt(std::string_view text) {
  constexpr size_t kLongest = 60;
  if (text.size() <= kLongest) return std::string(text);
  size_t end = kLongest;
  while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

std::string At(const Request& request) { return request.place.empty() ? "" : request.place + ": "; }

}  // namespace

std::string RequestProtocol::CanonicalParams() const {
  return nlohmann::json{{"special", special == SpecialTokens::kAdd ? "add" : "none"},
                        {"pairs", pairs == PairEncoding::kJoint ? "joint" : "separate"},
                        {"prefix", prefix == PrefixToken::kBosOrEos ? "bos-or-eos" : "eos"}}
      .dump();
}

std::vector<std::string> RequestProtocolNames() {
  std::vector<std::string> names;
  for (const RequestProtocol& protocol : KnownProtocols()) names.push_back(protocol.id);
  return names;
}

RequestProtocol RequestProtocolNamed(std::string_view name) {
  for (const RequestProtocol& protocol : KnownProtocols()) {
    if (protocol.id == name) return protocol;
  }
  throw MakeError<ConfigError>("unknown request protocol '{}'{}", name,
                               SuggestName(name, RequestProtocolNames()));
}

std::vector<TokenId> EncodedRequest::Input() const {
  std::vector<TokenId> input = head;
  input.insert(input.end(), continuation.begin(), continuation.end() - 1);
  return input;
}

RequestEncoder::RequestEncoder(const Tokenizer& tokenizer, RequestProtocol protocol,
                               int64_t max_length)
    : tokenizer_(tokenizer), protocol_(std::move(protocol)), max_length_(max_length) {
  CONDENSE_CHECK(max_length_ >= 1, "{}", max_length_);
  if (protocol_.special == SpecialTokens::kAdd) leading_ = LeadingToken(tokenizer_);
}

// A text that itself begins with the leading token does not get a second one.
std::vector<TokenId> RequestEncoder::EncodeText(std::string_view text) const {
  std::vector<TokenId> ids = tokenizer_.Encode(text, SpecialTokens::kNone);
  if (leading_ && (ids.empty() || ids.front() != *leading_)) ids.insert(ids.begin(), *leading_);
  return ids;
}

TokenId RequestEncoder::Prefix() const {
  const bool bos = protocol_.prefix == PrefixToken::kBosOrEos && tokenizer_.bos().has_value();
  const std::optional<TokenId> prefix = bos ? tokenizer_.bos() : tokenizer_.eos();
  if (prefix) return *prefix;
  throw MakeError<DataError>(
      "protocol {} puts a beginning- or end-of-text token in place of an empty context, but the "
      "tokenizer has none",
      protocol_.id);
}

void RequestEncoder::EncodeWithoutContext(std::string_view continuation,
                                          EncodedRequest& encoded) const {
  encoded.head = {Prefix()};
  encoded.continuation = tokenizer_.Encode(continuation, SpecialTokens::kNone);
  if (!encoded.continuation.empty() && encoded.continuation.front() == encoded.head.front()) {
    encoded.continuation.erase(encoded.continuation.begin());
  }
}

void RequestEncoder::EncodePair(std::string_view context, std::string_view continuation,
                                EncodedRequest& encoded) const {
  encoded.head = EncodeText(context);
  if (protocol_.pairs == PairEncoding::kSeparate) {
    encoded.continuation = tokenizer_.Encode(continuation, SpecialTokens::kNone);
    return;
  }
  const std::vector<TokenId> whole = EncodeText(std::string(context).append(continuation));
  const size_t begin = std::min(encoded.head.size(), whole.size());
  encoded.continuation.assign(whole.begin() + static_cast<int64_t>(begin), whole.end());
}

EncodedRequest RequestEncoder::Encode(const Request& request) const {
  EncodedRequest encoded;
  if (request.context.empty()) {
    EncodeWithoutContext(request.continuation, encoded);
  } else {
    const std::string_view context = request.context;
    const size_t space = TrailingSpaceBegin(context);
    EncodePair(context.substr(0, space),
               std::string(context.substr(space)).append(request.continuation), encoded);
  }
  encoded.context_tokens = static_cast<int64_t>(encoded.head.size());
  const auto scored = static_cast<int64_t>(encoded.continuation.size());
  if (encoded.head.empty()) {
    throw MakeError<DataError>(
        "{}request with context \"{}\": no ids are left of the context, so its first continuation "
        "id cannot be scored; protocol {} adds no special tokens",
        At(request), Excerpt(request.context), protocol_.id);
  }
  if (scored == 0) {
    throw MakeError<DataError>(
        "{}request with continuation \"{}\": no ids are left of the continuation after the {} ids "
        "of the context; expected at least one to score",
        At(request), Excerpt(request.continuation), encoded.context_tokens);
  }
  if (scored > max_length_) {
    throw MakeError<DataError>(
        "{}request with continuation \"{}\": it has {} ids, more than the {} of one model input",
        At(request), Excerpt(request.continuation), scored, max_length_);
  }
  const int64_t excess = encoded.context_tokens + scored - (max_length_ + 1);
  if (excess > 0) {
    encoded.truncated = true;
    encoded.head.erase(encoded.head.begin(), encoded.head.begin() + excess);
  }
  return encoded;
}

std::vector<Request> ReadRequests(const std::filesystem::path& path) {
  const std::string text = ReadFile(path);
  std::vector<Request> requests;
  ForEachJsonLine(text, path, [&](const nlohmann::json& record, const std::string& place) {
    requests.push_back(
        {JsonText(record, "context", place), JsonText(record, "continuation", place), place});
  });
  if (requests.empty()) {
    throw MakeError<DataError>(
        "{}: holds no requests; expected lines {{\"context\": ..., \"continuation\": ...}}",
        path.string());
  }
  return requests;
}

}  // namespace condense
