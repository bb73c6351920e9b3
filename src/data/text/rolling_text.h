// The text of rolling word perplexity: pages of WikiText, detokenised, and the windows in which
// each of their ids is scored exactly once (protocols.md 1.4). Scoring is done in evaluation/.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/protocol.h"
#include "data/requests.h"
#include "data/text/corpus.h"

namespace condense {

// A page begins at a line " = Title = "; what stands before the first title is one too unless it is
// blank. Lines keep their spaces and are joined by newlines.
std::vector<std::string> WikiTextPages(std::string_view text);
// Undoes the tokenisation of WikiText: "@-@", spaces before punctuation and inside brackets and
// quotes, "= =".
std::string WikiTextDetokenised(std::string_view page);
// Pieces between runs of white space, the empty ones before the first and after the last run too.
int64_t PiecesOf(std::string_view page);

struct RollingPage {
  std::vector<TokenId> ids;      // of the detokenised page; without the prefix
  int64_t words = 0, bytes = 0;  // of the original page
};

struct RollingText {
  std::string source;  // protocol id
  std::vector<RollingPage> pages;
  TokenId prefix = 0;
  std::optional<int64_t> max_length;  // ids in one input; none: the model's positions
  std::string corpus, split, data_sha256;
  std::string text_sha256;  // of the detokenised pages, a zero byte between two
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

// The windows of one page: each window's continuation is what it scores. The first sees the prefix
// token; a later one scores up to `max_length` ids after at least one id of context, and as many
// more as fit.
std::vector<EncodedRequest> RollingWindows(std::span<const TokenId> ids, TokenId prefix,
                                           int64_t max_length);

}  // namespace condense
