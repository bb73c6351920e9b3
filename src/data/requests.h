// Requests: pairs of context and continuation, encoded as in lm-evaluation-harness (protocols.md
// 3.1 and 3.3). They are what passes from tasks to models: models never see tasks, and tasks never
// see tensors. Scoring is done in evaluation/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace condense {

struct Request {
  std::string context, continuation;
  std::string place = {};  // where it was read, "file:line"
};

enum class PairEncoding {
  kJoint,     // both strings as one; the ids beyond the context's length are the continuation
  kSeparate,  // each string by itself
};
enum class PrefixToken { kBosOrEos, kEos };  // stands in for an empty context

struct RequestProtocol {
  std::string id;
  SpecialTokens special = SpecialTokens::kAdd;
  PairEncoding pairs = PairEncoding::kJoint;
  PrefixToken prefix = PrefixToken::kBosOrEos;

  std::string CanonicalParams() const;  // JSON, stored beside the id
};

// "lmeval-bos", "lmeval-nobos", "lmeval-0.3"; ConfigError for another name.
RequestProtocol RequestProtocolNamed(std::string_view name);
std::vector<std::string> RequestProtocolNames();

struct EncodedRequest {
  std::vector<TokenId> head;          // what is left of the context after truncation; never empty
  std::vector<TokenId> continuation;  // the scored ids; never empty
  int64_t context_tokens = 0;         // before truncation
  bool truncated = false;

  // Head and continuation without the final id: what the model is fed.
  std::vector<TokenId> Input() const;
};

// Encodes many requests of one tokenizer and protocol.
class RequestEncoder {
 public:
  // `max_length`: the largest number of ids in one input.
  RequestEncoder(const Tokenizer& tokenizer, RequestProtocol protocol, int64_t max_length);

  // DataError when the context or the continuation has no ids, or the continuation has more than
  // `max_length`.
  EncodedRequest Encode(const Request& request) const;

 private:
  std::vector<TokenId> EncodeText(std::string_view text) const;
  TokenId Prefix() const;
  void EncodePair(std::string_view context, std::string_view continuation,
                  EncodedRequest& encoded) const;
  void EncodeWithoutContext(std::string_view continuation, EncodedRequest& encoded) const;

  const Tokenizer& tokenizer_;
  RequestProtocol protocol_;
  int64_t max_length_;
  std::optional<TokenId> leading_;  // put in front if the protocol adds special tokens
};

// One JSON object {"context": "...", "continuation": "..."} per line; other keys are ignored.
// DataError with file and line for anything else. A byte order mark and CRLF are accepted.
std::vector<Request> ReadRequests(const std::filesystem::path& path);

}  // namespace condense
