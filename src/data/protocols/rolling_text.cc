#include "data/protocols/rolling_text.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "data/text/ids_file.h"
#include "data/text/leading_token.h"
#include "data/text/python_text.h"

namespace condense {
namespace {

std::string Replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  result.reserve(text.size());
  for (size_t begin = 0;;) {
    const size_t found = text.find(from, begin);
    result += text.substr(begin, found - begin);
    if (found == std::string_view::npos) return result;
    result += to;
    begin = found + from.size();
  }
}

// Removes the white space beside the marks in "( x )": from an opening mark to the next closing
// one.
std::string Tightened(std::string_view text, char open, char close) {
  std::string result;
  result.reserve(text.size());
  for (size_t begin = 0;;) {
    const size_t opening = text.find(open, begin);
    const size_t closing =
        opening == std::string_view::npos ? opening : text.find(close, opening + 1);
    if (closing == std::string_view::npos) return result += text.substr(begin);
    result += text.substr(begin, opening + 1 - begin);
    result += PythonStrip(text.substr(opening + 1, closing - opening - 1));
    result += close;
    begin = closing + 1;
  }
}

bool IsTitle(std::string_view line) {
  const std::string joined = Replaced(Replaced(line, "= = =", "==="), "= =", "==");
  const std::string_view probe = PythonStrip(joined);
  return StartsWith(probe, "= ") && EndsWith(probe, " =");
}

TokenId PrefixOf(const RollingProtocol& protocol, const Tokenizer& tokenizer,
                 const std::string& id) {
  const bool bos = protocol.prefix == PrefixToken::kBosOrEos && tokenizer.bos().has_value();
  const std::optional<TokenId> prefix = bos ? tokenizer.bos() : tokenizer.eos();
  if (prefix) return *prefix;
  throw MakeError<DataError>(
      "protocol {} puts a beginning- or end-of-text token in front of each page, but the tokenizer "
      "has none",
      id);
}

}  // namespace

std::vector<std::string> WikiTextPages(std::string_view text) {
  std::vector<std::string> pages, lines;
  for (std::string& line : Split(text, '\n')) {
    if (IsTitle(line)) {
      std::string page = Join(lines, "\n");
      if (!IsPythonBlank(page)) pages.push_back(std::move(page));
      lines.clear();
    }
    lines.push_back(std::move(line));
  }
  pages.push_back(Join(lines, "\n"));
  return pages;
}

std::string WikiTextDetokenised(std::string_view page) {
  using Pair = std::pair<std::string_view, std::string_view>;
  std::string text(page);
  const auto replace = [&text](std::initializer_list<Pair> pairs) {
    for (const auto& [from, to] : pairs) text = Replaced(text, from, to);
  };
  replace({{"s '", "s'"}, {" @-@ ", "-"}, {" @,@ ", ","}, {" @.@ ", "."}});
  replace(
      {{" : ", ": "}, {" ; ", "; "}, {" . ", ". "}, {" ! ", "! "}, {" ? ", "? "}, {" , ", ", "}});
  for (const auto& [open, close] : {std::pair{'(', ')'}, {'[', ']'}, {'{', '}'}, {'"', '"'}}) {
    text = Tightened(text, open, close);
  }
  text = Tightened(text, '\'', '\'');
  replace({{"= = = =", "===="}, {"= = =", "==="}, {"= =", "=="}});
  replace({{" \u00B0 ", "\u00B0"}, {" \n", "\n"}, {"\n ", "\n"}, {" N ", " 1 "}, {" 's", "'s"}});
  return text;
}

int64_t PiecesOf(std::string_view page) {
  int64_t runs = 0;
  bool in_run = false;
  for (size_t position = 0; position < page.size();) {
    const bool space = IsPythonSpace(NextCodePoint(page, position));
    runs += space && !in_run;
    in_run = space;
  }
  return runs + 1;
}

int64_t RollingText::words() const {
  int64_t sum = 0;
  for (const RollingPage& page : pages) sum += page.words;
  return sum;
}

int64_t RollingText::bytes() const {
  int64_t sum = 0;
  for (const RollingPage& page : pages) sum += page.bytes;
  return sum;
}

std::vector<TokenId> RollingText::ids() const {
  std::vector<TokenId> all;
  for (const RollingPage& page : pages) all.insert(all.end(), page.ids.begin(), page.ids.end());
  return all;
}

RollingText RollingFromCorpus(const NamedProtocol& named, const CorpusText& corpus,
                              const Tokenizer& tokenizer) {
  const auto& protocol = std::get<RollingProtocol>(named.rules);
  RollingText text{.source = named.id,
                   .pages = {},
                   .prefix = PrefixOf(protocol, tokenizer, named.id),
                   .max_length = protocol.max_length,
                   .corpus = corpus.name,
                   .split = corpus.split,
                   .data_sha256 = corpus.sha256,
                   .tokenizer_digest = tokenizer.digest()};
  std::optional<TokenId> leading;
  if (protocol.special == SpecialTokens::kAdd) leading = LeadingToken(tokenizer);
  std::vector<std::string> detokenised;
  for (const std::string& page : WikiTextPages(corpus.text)) {
    detokenised.push_back(WikiTextDetokenised(page));
    std::vector<TokenId> ids = tokenizer.Encode(detokenised.back(), SpecialTokens::kNone);
    if (leading) ids.insert(ids.begin(), *leading);
    text.pages.push_back({std::move(ids), PiecesOf(page), static_cast<int64_t>(page.size())});
  }
  text.text_sha256 = Sha256Hex(Join(detokenised, std::string_view("\0", 1)));
  const std::vector<TokenId> ids = text.ids();
  if (ids.empty()) throw MakeError<DataError>("{}: the text has no ids to score", named.id);
  text.ids_sha256 = IdsSha256(ids);
  return text;
}

RollingText RollingFromProtocol(const NamedProtocol& named, const Tokenizer& tokenizer,
                                const DataRoots& roots) {
  return RollingFromCorpus(named, LoadCorpusText(named.corpus(), named.split(), roots), tokenizer);
}

std::vector<EncodedRequest> RollingWindows(std::span<const TokenId> ids, TokenId prefix,
                                           int64_t max_length) {
  CONDENSE_CHECK(max_length >= 1, "{}", max_length);
  const auto longest = static_cast<size_t>(max_length);
  std::vector<EncodedRequest> windows;
  for (size_t begin = 0; begin < ids.size();) {
    const size_t scored = std::min(longest, ids.size() - begin), end = begin + scored;
    EncodedRequest window;
    if (begin == 0) {
      window.head = {prefix};
    } else {
      // The input is the `max_length` ids before the last scored one.
      window.head.assign(ids.begin() + static_cast<int64_t>(end - 1 - longest),
                         ids.begin() + static_cast<int64_t>(begin));
    }
    window.continuation.assign(ids.begin() + static_cast<int64_t>(begin),
                               ids.begin() + static_cast<int64_t>(end));
    window.context_tokens = static_cast<int64_t>(window.head.size());
    windows.push_back(std::move(window));
    begin = end;
  }
  return windows;
}

}  // namespace condense
