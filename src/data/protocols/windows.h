// The text that a perplexity is measured on: token ids cut into windows (protocols.md 1.2, 1.3 and
// 1.5). Scoring is done in evaluation/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/protocols/protocol.h"
#include "data/text/corpus.h"
#include "data/text/ids_file.h"
#include "tokenizer/tokenizer.h"

namespace condense {

struct EvaluationText {
  std::string source;        // protocol id or file
  std::vector<TokenId> ids;  // the stream, with the leading token of SpecialMode::kOnce
  int64_t window = 0;
  SpecialMode special = SpecialMode::kNone;
  TokenId leading = 0;  // in front of each window with SpecialMode::kWindow
  // Family chunked: what replaces the first id of each window, and the first position in a window
  // that is scored.
  std::optional<TokenId> replaced_first;
  int64_t first_target = 1;
  int64_t windows = 0;
  int64_t dropped_tokens = 0;        // after the last whole window
  std::optional<TokenId> ignore_id;  // targets equal to it are not counted
  int64_t ignored_targets = 0;       // how many there are
  LossDtype loss_dtype = LossDtype::kFp32;
  LossAverage average = LossAverage::kWindowMeans;
  std::string corpus, split;  // empty for a user's file
  std::string data_sha256;    // of the corpus or the file
  std::string text_sha256;    // of the UTF-8 text that was tokenised; empty for files of ids
  std::string ids_sha256;     // of the stream as little-endian 32-bit integers
  std::string tokenizer_digest;

  // The ids of window k, [window]; the first is never scored.
  std::vector<TokenId> Window(int64_t k) const;
  int64_t TokensPerWindow() const;  // of the stream: window, or one fewer with a token put in front
  int64_t targets() const { return windows * (window - first_target); }
};

struct WindowOptions {
  int64_t window = 0;
  SpecialMode special = SpecialMode::kOnce;
};

// DataError when the text is empty or shorter than one window; ConfigError for a protocol whose
// family has no windows of one length (rolling).
EvaluationText EvaluationFromProtocol(const NamedProtocol& named, const Tokenizer& tokenizer,
                                      const DataRoots& roots);
// Of family windowed.
EvaluationText EvaluationFromCorpus(const NamedProtocol& named, const Corpus& corpus,
                                    const Tokenizer& tokenizer);
// Of family chunked.
EvaluationText EvaluationFromChunks(const NamedProtocol& named, const CorpusText& corpus,
                                    const Tokenizer& tokenizer);
// The whole file as one string, tokenised once.
EvaluationText EvaluationFromText(const std::filesystem::path& path, const WindowOptions& options,
                                  const Tokenizer& tokenizer);
// Ids made by another program. The rows of a two-dimensional array must be whole windows.
EvaluationText EvaluationFromIds(const std::filesystem::path& path, IdsType type,
                                 const WindowOptions& options, const Tokenizer& tokenizer);

// ConfigError when a window is longer than the positions of a model.
void RequirePositions(const EvaluationText& text, int64_t max_positions);

}  // namespace condense
