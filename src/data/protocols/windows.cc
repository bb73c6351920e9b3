#include "data/protocols/windows.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "data/text/leading_token.h"
#include "data/text/line_ends.h"

namespace condense {
namespace {

TokenId RequireLeadingToken(const Tokenizer& tokenizer) {
  if (const auto leading = LeadingToken(tokenizer)) return *leading;
  if (tokenizer.bos()) return *tokenizer.bos();
  throw MakeError<DataError>(
      "special: window puts the tokenizer's leading special token in front of each window, but the "
      "tokenizer has none; use special: none");
}

void PutLeadingTokenInFront(std::vector<TokenId>& ids, const Tokenizer& tokenizer) {
  if (const auto leading = LeadingToken(tokenizer)) ids.insert(ids.begin(), *leading);
}

// Counts the windows of `text.ids` and fills in the digests.
EvaluationText Cut(EvaluationText text, const WindowOptions& options, const Tokenizer& tokenizer) {
  if (options.window < 2) {
    throw MakeError<ConfigError>("a window of {} ids has nothing to score; give 2 or more",
                                 options.window);
  }
  text.window = options.window;
  text.special = options.special;
  if (options.special == SpecialMode::kWindow) text.leading = RequireLeadingToken(tokenizer);
  const auto tokens = static_cast<int64_t>(text.ids.size());
  text.windows = tokens / text.TokensPerWindow();
  text.dropped_tokens = tokens % text.TokensPerWindow();
  if (text.windows == 0) {
    throw MakeError<DataError>(
        "{}: the text has {} ids, fewer than one window of {} takes; give a longer text or a "
        "shorter window",
        text.source, tokens, text.TokensPerWindow());
  }
  text.ids_sha256 = IdsSha256(text.ids);
  text.tokenizer_digest = tokenizer.digest();
  return text;
}

EvaluationText Tokenised(EvaluationText text, std::string_view string, SpecialMode special,
                         const Tokenizer& tokenizer) {
  text.text_sha256 = Sha256Hex(string);
  text.ids = tokenizer.Encode(string, SpecialTokens::kNone);
  if (special == SpecialMode::kOnce) PutLeadingTokenInFront(text.ids, tokenizer);
  return text;
}

int64_t CountIgnoredTargets(const EvaluationText& text, TokenId ignored) {
  int64_t count = 0;
  for (int64_t k = 0; k < text.windows; ++k) {
    const std::vector<TokenId> window = text.Window(k);
    count += std::count(window.begin() + text.first_target, window.end(), ignored);
  }
  return count;
}

// A text that only says where it comes from. `corpus`: Corpus or CorpusText.
EvaluationText TextOf(const NamedProtocol& named, const auto& corpus) {
  EvaluationText text;
  text.source = named.id;
  text.corpus = corpus.name;
  text.split = corpus.split;
  text.data_sha256 = corpus.sha256;
  return text;
}

}  // namespace

int64_t EvaluationText::TokensPerWindow() const {
  return special == SpecialMode::kWindow ? window - 1 : window;
}

std::vector<TokenId> EvaluationText::Window(int64_t k) const {
  CONDENSE_CHECK(k >= 0 && k < windows, "window {} of {}", k, windows);
  std::vector<TokenId> result;
  result.reserve(static_cast<size_t>(window));
  if (special == SpecialMode::kWindow) result.push_back(leading);
  const auto begin = ids.begin() + k * TokensPerWindow();
  result.insert(result.end(), begin, begin + TokensPerWindow());
  if (replaced_first) result.front() = *replaced_first;
  return result;
}

EvaluationText EvaluationFromCorpus(const NamedProtocol& named, const Corpus& corpus,
                                    const Tokenizer& tokenizer) {
  const auto& protocol = std::get<WindowedProtocol>(named.rules);
  EvaluationText text = TextOf(named, corpus);
  const int64_t rows = protocol.take_rows.value_or(corpus.size());
  if (rows > corpus.size()) {
    throw MakeError<DataError>(
        "{}: protocol {} is defined by the first {} rows of corpus {}, but split '{}' has {}; is "
        "the file a sample?",
        corpus.files.front().path.string(), named.id, rows, corpus.name, corpus.split,
        corpus.size());
  }
  text = Tokenised(std::move(text),
                   Join({corpus.rows.begin(), corpus.rows.begin() + rows}, protocol.join),
                   protocol.special, tokenizer);
  const auto tokens = static_cast<int64_t>(text.ids.size());
  text.ids.resize(static_cast<size_t>(std::min(tokens, protocol.take_tokens.value_or(tokens))));
  text = Cut(std::move(text), {protocol.window, protocol.special}, tokenizer);
  text.loss_dtype = protocol.loss_dtype;
  text.average = protocol.average;
  text.ignore_id = protocol.ignore_id;
  if (text.ignore_id) text.ignored_targets = CountIgnoredTargets(text, *text.ignore_id);
  return text;
}

EvaluationText EvaluationFromChunks(const NamedProtocol& named, const CorpusText& corpus,
                                    const Tokenizer& tokenizer) {
  const auto& protocol = std::get<ChunkedProtocol>(named.rules);
  EvaluationText text =
      Tokenised(TextOf(named, corpus), corpus.text, SpecialMode::kOnce, tokenizer);
  text.replaced_first = LeadingToken(tokenizer);
  if (!text.replaced_first) text.replaced_first = tokenizer.bos();
  text.first_target = protocol.chunk / 2 + 1;
  text.average = LossAverage::kTokens;
  return Cut(std::move(text), {protocol.chunk, SpecialMode::kOnce}, tokenizer);
}

EvaluationText EvaluationFromProtocol(const NamedProtocol& named, const Tokenizer& tokenizer,
                                      const DataRoots& roots) {
  if (std::holds_alternative<WindowedProtocol>(named.rules)) {
    return EvaluationFromCorpus(named, LoadCorpus(named.corpus(), named.split(), roots), tokenizer);
  }
  if (std::holds_alternative<ChunkedProtocol>(named.rules)) {
    return EvaluationFromChunks(named, LoadCorpusText(named.corpus(), named.split(), roots),
                                tokenizer);
  }
  throw MakeError<ConfigError>("protocol {} is of family {}: its text has no windows of one length",
                               named.id, named.family());
}

EvaluationText EvaluationFromText(const std::filesystem::path& path, const WindowOptions& options,
                                  const Tokenizer& tokenizer) {
  const std::string string = ReadFile(path);
  if (string.empty()) throw MakeError<DataError>("{}: the text is empty", path.string());
  if (const auto invalid = InvalidUtf8At(string)) {
    throw MakeError<DataError>("{}: invalid UTF-8 at byte {}; convert the file to UTF-8",
                               path.string(), *invalid);
  }
  SayWindowsMarks(string, path);
  EvaluationText text;
  text.source = path.string();
  text.data_sha256 = Sha256Hex(string);
  return Cut(Tokenised(std::move(text), string, options.special, tokenizer), options, tokenizer);
}

EvaluationText EvaluationFromIds(const std::filesystem::path& path, IdsType type,
                                 const WindowOptions& options, const Tokenizer& tokenizer) {
  IdsFile file = ReadIdsFile(path, {type, tokenizer.size(), std::nullopt});
  EvaluationText text;
  text.source = path.string();
  text.data_sha256 = file.sha256;
  text.ids = std::move(file.ids);
  if (options.special == SpecialMode::kOnce) PutLeadingTokenInFront(text.ids, tokenizer);
  text = Cut(std::move(text), options, tokenizer);
  const bool rows_are_windows = options.special != SpecialMode::kOnce && file.columns > 0 &&
                                file.columns % text.TokensPerWindow() == 0;
  if (file.columns > 0 && !rows_are_windows) {
    throw MakeError<DataError>(
        "{}: its rows of {} ids are not whole windows of {} ids{}; flatten the array to use it as "
        "one stream",
        path.string(), file.columns, text.TokensPerWindow(),
        options.special == SpecialMode::kOnce ? " once a special token is put in front of the first"
                                              : "");
  }
  return text;
}

void RequirePositions(const EvaluationText& text, int64_t max_positions) {
  if (text.window <= max_positions) return;
  throw MakeError<ConfigError>(
      "{}: a window of {} ids is longer than the {} positions of the model; use a protocol with a "
      "shorter window",
      text.source, text.window, max_positions);
}

}  // namespace condense
