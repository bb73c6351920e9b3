// The text that a perplexity is measured on: token ids cut into windows (protocols.md 1.2, 1.3).
// Scoring is done in evaluation/.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/fields.h"
#include "data/corpus.h"
#include "data/ids_file.h"
#include "tokenizer/tokenizer.h"

namespace condense {

// Where the tokenizer's leading special token goes.
enum class SpecialMode {
  kOnce,    // in front of the whole stream
  kWindow,  // in front of every window, which then holds one text id less
  kNone,
};
enum class TailRule { kDrop };
// kEmulated imitates reference scripts: losses in the dtype of the logits.
enum class LossDtype { kFp32, kEmulated };
enum class LossAverage { kWindowMeans, kTokens };

template <>
struct EnumNames<SpecialMode> {
  static constexpr std::array names{std::pair{SpecialMode::kOnce, "once"},
                                    std::pair{SpecialMode::kWindow, "window"},
                                    std::pair{SpecialMode::kNone, "none"}};
};
template <>
struct EnumNames<TailRule> {
  static constexpr std::array names{std::pair{TailRule::kDrop, "drop"}};
};
template <>
struct EnumNames<LossDtype> {
  static constexpr std::array names{std::pair{LossDtype::kFp32, "fp32"},
                                    std::pair{LossDtype::kEmulated, "emul"}};
};
template <>
struct EnumNames<LossAverage> {
  static constexpr std::array names{std::pair{LossAverage::kWindowMeans, "window-means"},
                                    std::pair{LossAverage::kTokens, "tokens"}};
};

// configs/protocols/<id>.yaml
struct PerplexityProtocol {
  std::string corpus, split;
  std::optional<int64_t> take_rows, take_tokens;
  std::string join = "\n\n";
  SpecialMode special = SpecialMode::kOnce;
  int64_t window = 0, stride = 0;
  TailRule tail = TailRule::kDrop;
  LossDtype loss_dtype = LossDtype::kFp32;
  std::optional<TokenId> ignore_id;
  LossAverage average = LossAverage::kWindowMeans;

  template <class V>
  void Fields(V&& field) {
    field("corpus", corpus, "text, by its name in configs/corpora", Required{}, NonEmpty{});
    field("split", split, "part of the corpus", Required{}, NonEmpty{});
    field("take_rows", take_rows, "only the first rows, cut before tokenisation",
          Range::AtLeast(1));
    field("take_tokens", take_tokens, "only the first ids, cut after tokenisation",
          Range::AtLeast(2));
    field("join", join, "text between two rows", Required{});
    field("special", special, "where the tokenizer's leading special token goes", Required{});
    field("window", window, "ids a window", Required{}, Range::AtLeast(2));
    field("stride", stride, "ids from one window to the next; equal to the window", Required{});
    field("tail", tail, "what becomes of the ids after the last whole window");
    field("loss_dtype", loss_dtype, "fp32, or as reference scripts round");
    field("ignore_id", ignore_id, "targets that equal this id do not count", Range::AtLeast(0));
    field("average", average, "mean of window means, or over all targets");
  }
  void Validate(const Node& at, Problems& problems) const;
};

// A protocol by its frozen id, with what is stored beside it.
struct NamedProtocol {
  std::string id;
  PerplexityProtocol protocol;
  std::string params;         // canonical JSON
  std::string params_sha256;  // the same id with another hash means that a frozen id was changed
};
// ConfigError for an unknown id.
NamedProtocol LoadPerplexityProtocol(std::string_view id);

struct EvaluationText {
  std::string source;        // protocol id or file
  std::vector<TokenId> ids;  // the stream, with the leading token of SpecialMode::kOnce
  int64_t window = 0;
  SpecialMode special = SpecialMode::kNone;
  TokenId leading = 0;  // in front of each window with SpecialMode::kWindow
  int64_t windows = 0;
  int64_t dropped_tokens = 0;        // after the last whole window
  std::optional<TokenId> ignore_id;  // targets that equal it do not count
  int64_t ignored_targets = 0;       // how many there are
  LossDtype loss_dtype = LossDtype::kFp32;
  LossAverage average = LossAverage::kWindowMeans;
  std::string corpus, split;  // empty for a file of the user's
  std::string data_sha256;    // of the corpus file or the file
  std::string text_sha256;    // of the UTF-8 text that was tokenised; empty for files of ids
  std::string ids_sha256;     // of the stream as little-endian 32-bit integers
  std::string tokenizer_digest;

  // The ids of window k, [window]; the first is never scored.
  std::vector<TokenId> Window(int64_t k) const;
  int64_t TokensPerWindow() const;  // of the stream: window, or one less with a token put in front
  int64_t targets() const { return windows * (window - 1); }
};

struct WindowOptions {
  int64_t window = 0;
  SpecialMode special = SpecialMode::kOnce;
};

// DataError when the text is empty or shorter than one window.
EvaluationText EvaluationFromProtocol(const NamedProtocol& named, const Tokenizer& tokenizer,
                                      const DataRoots& roots);
EvaluationText EvaluationFromCorpus(const NamedProtocol& named, const Corpus& corpus,
                                    const Tokenizer& tokenizer);
// The whole file as one string, tokenised once.
EvaluationText EvaluationFromText(const std::filesystem::path& path, const WindowOptions& options,
                                  const Tokenizer& tokenizer);
// Ids made elsewhere. The rows of a two-dimensional array must be whole windows.
EvaluationText EvaluationFromIds(const std::filesystem::path& path, IdsType type,
                                 const WindowOptions& options, const Tokenizer& tokenizer);

// ConfigError when a window is longer than a model can see.
void RequirePositions(const EvaluationText& text, int64_t max_positions);

}  // namespace condense
