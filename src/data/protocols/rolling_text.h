// The text of rolling word perplexity: detokenised pages of WikiText, and windows that score each
// of their ids exactly once (protocols.md 1.4). Scoring is done in evaluation/.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/protocols/protocol.h"
#include "data/requests.h"
#include "data/text/corpus.h"

namespace condense {

// A page begins at a line " = Title = "; text before the first title is a page too unless it is
// blank. Lines keep their spaces and are joined by newlines.
std::vector<std::string> WikiTextPages(std::string_view text);
// Undoes the tokenisation of WikiText: "@-@", spaces before punctuation and inside brackets and
// quotes, "= =".
std::string WikiTextDetokenised(std::string_view page);
// The number of pieces between runs of white space, counting an empty piece at either end.
int64_t PiecesOf(std::string_view page);

struct RollingPage {
  std::vector<TokenId> ids;      // of the detokenised page; without the prefix
  int64_t words = 0, bytes = 0;  // of the original page
};

struct RollingText {
  std::string source;  // protocol id
  std::vector<RollingPage> pages;
  TokenId prefix = 0;
  std::optional<int64_t> max_length;  // ids in one input; nullopt: the model's positions
  std::string corpus, split, data_sha256;
  std::string text_sha256;  // of the detokenised pages, joined by zero bytes
  std::string ids_sha256;   // of the pages' ids, one page after another
  std::string tokenizer_digest;

  int64_t words() const;
  int64_t bytes() const;
  std::vector<TokenId> ids() const;  // of all pages
};

RollingText RollingFromProtocol(const NamedProtocol& named, const Tokenizer& tokenizer,
                                const DataRoots& roots);
RollingText RollingFromCorpus(const NamedProtocol& named, const CorpusText& corpus,
                              const Tokenizer& tokenizer);

// The windows of one page: each scores its continuation. The context of the first is the prefix
// token. A later one scores up to `max_length` ids; its context is as many ids as fit, at least
// one.
std::vector<EncodedRequest> RollingWindows(std::span<const TokenId> ids, TokenId prefix,
                                           int64_t max_length);

}  // namespace condense
