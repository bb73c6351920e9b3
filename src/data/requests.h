// From strings to what a model is fed: pairs of context and continuation, encoded as the
// lm-evaluation-harness does it (protocols.md 3.1 and 3.3). Models never see tasks and tasks never
// see tensors: this is what passes between them. Scoring is done in evaluation/.
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
  kJoint,     // continuation ids: what follows the context's length in the whole's ids
  kSeparate,  // each string on its own
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

  // DataError when no context ids or no continuation ids come out, or more continuation ids than
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
  std::optional<TokenId> leading_;  // what the tokenizer puts in front when special tokens are on
};

EncodedRequest EncodeRequest(const Request& request, const Tokenizer& tokenizer,
                             const RequestProtocol& protocol, int64_t max_length);

// One JSON object {"context": "...", "continuation": "..."} a line; other keys are left alone.
// DataError with file and line for anything else. A byte order mark and CRLF are accepted.
std::vector<Request> ReadRequests(const std::filesystem::path& path);

}  // namespace condense
