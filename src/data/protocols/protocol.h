// Perplexity protocols (protocols.md 1), defined by configs/protocols/<id>.yaml. Protocols of one
// family differ only in the parameters below. windows.h and rolling_text.h prepare their texts;
// evaluation/ measures.
//
// A file is of family windowed unless it says otherwise: `family: rolling`.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "config/fields.h"
#include "data/requests.h"
#include "tokenizer/tokenizer.h"

namespace condense {

// Where the tokenizer's leading special token goes.
enum class SpecialMode {
  kOnce,    // in front of the whole stream
  kWindow,  // in front of every window, which then holds one id of text fewer
  kNone,
};
enum class TailRule { kDrop };
// kEmulated computes losses in the dtype of the logits, as reference scripts do.
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

template <>
struct EnumNames<PrefixToken> {
  static constexpr std::array names{std::pair{PrefixToken::kBosOrEos, "bos-or-eos"},
                                    std::pair{PrefixToken::kEos, "eos"}};
};
template <>
struct EnumNames<SpecialTokens> {
  static constexpr std::array names{std::pair{SpecialTokens::kNone, "none"},
                                    std::pair{SpecialTokens::kAdd, "add"}};
};

// Windows of one stream of ids, each with its first id as context (protocols.md 1.2).
struct WindowedProtocol {
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
    field("take_rows", take_rows, "use only the first rows, cut before tokenisation",
          Range::AtLeast(1));
    field("take_tokens", take_tokens, "use only the first ids, cut after tokenisation",
          Range::AtLeast(2));
    field("join", join, "text between two rows", Required{});
    field("special", special, "where the tokenizer's leading special token goes", Required{});
    field("window", window, "ids per window", Required{}, Range::AtLeast(2));
    field("stride", stride, "ids from one window to the next; equal to the window", Required{});
    field("tail", tail, "what happens to the ids after the last whole window");
    field("loss_dtype", loss_dtype, "dtype of losses: fp32, or emul: that of the logits");
    field("ignore_id", ignore_id, "targets equal to this id are not counted", Range::AtLeast(0));
    field("average", average, "mean of window means, or over all targets");
  }
  void Validate(const Node& at, Problems& problems) const;
};

// As llama.cpp: the raw file in chunks, scored from the middle on (protocols.md 1.5).
struct ChunkedProtocol {
  std::string corpus, split;
  int64_t chunk = 0;

  template <class V>
  void Fields(V&& field) {
    field("corpus", corpus, "text, by its name in configs/corpora", Required{}, NonEmpty{});
    field("split", split, "part of the corpus, whole files", Required{}, NonEmpty{});
    field("chunk", chunk, "ids per chunk; even", Required{}, Range::AtLeast(4));
  }
  void Validate(const Node& at, Problems& problems) const;
};

// As lm-evaluation-harness' wikitext: pages, every id of which is scored (protocols.md 1.4).
struct RollingProtocol {
  std::string corpus, split;
  PrefixToken prefix = PrefixToken::kBosOrEos;
  SpecialTokens special = SpecialTokens::kNone;
  std::optional<int64_t> max_length;

  template <class V>
  void Fields(V&& field) {
    field("corpus", corpus, "text with page titles as in WikiText", Required{}, NonEmpty{});
    field("split", split, "part of the corpus, whole files", Required{}, NonEmpty{});
    field("prefix", prefix, "token put in front of each page as its context", Required{});
    field("special", special, "add: put the tokenizer's special tokens into pages and score them");
    field("max_length", max_length, "most ids in one input; absent: the model's positions",
          Range::AtLeast(1));
  }
};

// A protocol by its frozen id, with what is stored beside it.
struct NamedProtocol {
  std::string id;
  std::variant<WindowedProtocol, RollingProtocol, ChunkedProtocol> rules;
  std::string params;         // canonical JSON
  std::string params_sha256;  // one id with two hashes: its file was changed
  // Windows on which agreement with the dense model is measured by default; nullopt: all.
  std::optional<int64_t> agreement_windows;

  std::string_view family() const;  // "windowed", "rolling", "chunked"
  const std::string& corpus() const;
  const std::string& split() const;
  // Positions that a model must have; nullopt: the text is cut to those it has.
  std::optional<int64_t> positions() const;
  // "windows of 2048, special once"
  std::string Summary() const;
};
// ConfigError for an unknown id.
NamedProtocol LoadPerplexityProtocol(std::string_view id);
NamedProtocol ReadPerplexityProtocol(std::string_view id, const Node& node);

// Agreement with the dense model on the windows of a text (protocols.md 4). The file of the text's
// protocol gives the number of windows, but it is a parameter of this protocol and enters its hash
// only.
struct AgreementProtocol {
  std::string id;                  // of FormatAgreementText()
  std::optional<int64_t> windows;  // the first ones of the text; nullopt: all
  std::string params, params_sha256;
};
// `windows` replaces the protocol's own number. ConfigError for a family without windows.
AgreementProtocol AgreementOn(const NamedProtocol& text, std::optional<int64_t> windows = {});

}  // namespace condense
