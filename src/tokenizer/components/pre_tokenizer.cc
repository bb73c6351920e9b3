#include "tokenizer/components/pre_tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "tokenizer/components/byte_alphabet.h"
#include "tokenizer/components/characters.h"
#include "tokenizer/components/normalizer.h"

namespace condense {

namespace {

// The pieces of a text: separators and what lies between them.
struct Piece {
  TextRange range;
  bool separates;
};

std::vector<Piece> CutAtMatches(std::string_view text, const std::vector<TextRange>& matches,
                                bool invert) {
  std::vector<Piece> pieces;
  size_t covered = 0;
  for (const TextRange& match : matches) {
    if (covered < match.begin) pieces.push_back({{covered, match.begin}, invert});
    pieces.push_back({match, !invert});
    covered = match.end;
  }
  if (covered < text.size()) pieces.push_back({{covered, text.size()}, invert});
  return pieces;
}

void MergeWithPrevious(std::vector<Piece>& pieces) {
  std::vector<Piece> merged;
  bool after_separator = false;
  for (const Piece& piece : pieces) {
    if (piece.separates && !after_separator && !merged.empty()) {
      merged.back().range.end = piece.range.end;
    } else {
      merged.push_back(piece);
    }
    after_separator = piece.separates;
  }
  pieces = std::move(merged);
}

void MergeWithNext(std::vector<Piece>& pieces) {
  std::vector<Piece> merged;  // from the end
  bool before_separator = false;
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    if (piece->separates && !before_separator && !merged.empty()) {
      merged.back().range.begin = piece->range.begin;
    } else {
      merged.push_back(*piece);
    }
    before_separator = piece->separates;
  }
  std::reverse(merged.begin(), merged.end());
  pieces = std::move(merged);
}

void MergeAlike(std::vector<Piece>& pieces) {
  std::vector<Piece> merged;
  for (const Piece& piece : pieces) {
    if (!merged.empty() && merged.back().separates == piece.separates) {
      merged.back().range.end = piece.range.end;
    } else {
      merged.push_back(piece);
    }
  }
  pieces = std::move(merged);
}

class SplitStep final : public PreTokenizerStep {
 public:
  explicit SplitStep(SplitRule rule) : rule_(std::move(rule)) {}

  void Apply(std::vector<Word>& words, std::deque<std::string>&) const override {
    Pattern::Searcher searcher(rule_.pattern);
    std::vector<TextRange> matches;
    std::vector<Word> result;
    for (const Word& word : words) {
      matches.clear();
      searcher.FindAll(word.text, matches);
      std::vector<Piece> pieces = CutAtMatches(word.text, matches, rule_.invert);
      Merge(pieces);
      for (const Piece& piece : pieces) {
        const auto [begin, end] = piece.range;
        if (begin == end) continue;
        result.push_back({word.text.substr(begin, end - begin), word.starts_text && begin == 0});
      }
    }
    words = std::move(result);
  }

 private:
  void Merge(std::vector<Piece>& pieces) const {
    switch (rule_.behavior) {
      case SplitBehavior::kIsolated:
        return;
      case SplitBehavior::kRemoved:
        std::erase_if(pieces, [](const Piece& piece) { return piece.separates; });
        return;
      case SplitBehavior::kMergedWithPrevious:
        return MergeWithPrevious(pieces);
      case SplitBehavior::kMergedWithNext:
        return MergeWithNext(pieces);
      case SplitBehavior::kContiguous:
        return MergeAlike(pieces);
    }
  }

  SplitRule rule_;
};

class PrefixSpaceStep final : public PreTokenizerStep {
 public:
  void Apply(std::vector<Word>& words, std::deque<std::string>& storage) const override {
    for (Word& word : words) {
      if (word.text.starts_with(' ')) continue;
      word.text = storage.emplace_back(" ").append(word.text);
    }
  }
};

class SpaceMarkStep final : public PreTokenizerStep {
 public:
  SpaceMarkStep(std::string replacement, PrependScheme prepend)
      : replacement_(std::move(replacement)), prepend_(prepend), space_(Pattern::Literal(" ")) {}

  void Apply(std::vector<Word>& words, std::deque<std::string>& storage) const override {
    for (Word& word : words) {
      std::string& marked = storage.emplace_back(ReplaceAll(word.text, space_, replacement_));
      const bool prepends = prepend_ == PrependScheme::kAlways ||
                            (prepend_ == PrependScheme::kFirst && word.starts_text);
      if (prepends && !marked.starts_with(replacement_)) marked.insert(0, replacement_);
      word.text = marked;
    }
  }

 private:
  std::string replacement_;
  PrependScheme prepend_;
  Pattern space_;
};

class SpellBytesStep final : public PreTokenizerStep {
 public:
  void Apply(std::vector<Word>& words, std::deque<std::string>& storage) const override {
    for (Word& word : words) word.text = storage.emplace_back(EncodeBytes(word.text));
  }
};

// Of GPT-2 (Radford et al. 2019), src/encoder.py.
constexpr std::string_view kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace

PreTokenizer& PreTokenizer::Add(std::unique_ptr<PreTokenizerStep> step) {
  SpellBytes();
  steps_.push_back(std::move(step));
  return *this;
}

PreTokenizer& PreTokenizer::SpellBytes() {
  if (byte_level_) steps_.push_back(std::make_unique<SpellBytesStep>());
  byte_level_ = false;
  return *this;
}

PreTokenizer& PreTokenizer::Split(SplitRule rule) {
  return Add(std::make_unique<SplitStep>(std::move(rule)));
}

PreTokenizer& PreTokenizer::ByteLevel(bool add_prefix_space, bool split_like_gpt2) {
  SpellBytes();
  if (add_prefix_space) Add(std::make_unique<PrefixSpaceStep>());
  if (split_like_gpt2) Split({Pattern::Regex(kGpt2Words, "the expression of GPT-2")});
  byte_level_ = true;
  return *this;
}

PreTokenizer& PreTokenizer::Metaspace(MetaspaceRule rule) {
  Add(std::make_unique<SpaceMarkStep>(rule.replacement, rule.prepend));
  if (rule.split) Split({Pattern::Literal(rule.replacement), SplitBehavior::kMergedWithNext});
  return *this;
}

void PreTokenizer::Apply(std::vector<Word>& words, std::deque<std::string>& storage) const {
  for (const auto& step : steps_) step->Apply(words, storage);
}

namespace {

SplitBehavior ReadBehavior(const JsonNode& node) {
  const std::string name = node.String();
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  throw MakeError<DataError>("{}: unknown split behavior '{}'{}", node.where(), name,
                             SuggestName(name, {"Isolated", "Removed", "MergedWithPrevious",
                                                "MergedWithNext", "Contiguous"}));
}

void AddSteps(const JsonNode& node, std::optional<bool> lone_prefix_space,
              PreTokenizer& pre_tokenizer) {
  const std::string type = node.At("type").String();
  const auto split_at = [&](bool (*is_member)(char32_t), SplitBehavior behavior) {
    pre_tokenizer.Split({Pattern::Characters(is_member), behavior});
  };
  if (type == "Sequence") {
    for (const JsonNode& step : node.At("pretokenizers").Elements()) {
      AddSteps(step, std::nullopt, pre_tokenizer);
    }
  } else if (type == "Split") {
    pre_tokenizer.Split({ReadPattern(node.At("pattern")), ReadBehavior(node.At("behavior")),
                         node.BoolOr("invert", false)});
  } else if (type == "ByteLevel") {
    pre_tokenizer.ByteLevel(lone_prefix_space.value_or(node.BoolOr("add_prefix_space", true)),
                            node.BoolOr("use_regex", true));
  } else if (type == "Metaspace") {
    pre_tokenizer.Metaspace(ReadMetaspace(node));
  } else if (type == "Digits") {
    split_at(IsNumeric, node.BoolOr("individual_digits", false) ? SplitBehavior::kIsolated
                                                                : SplitBehavior::kContiguous);
  } else if (type == "Punctuation") {
    const auto behavior = node.Find("behavior");
    split_at(IsPunctuation, behavior ? ReadBehavior(*behavior) : SplitBehavior::kIsolated);
  } else if (type == "WhitespaceSplit") {
    split_at(IsWhiteSpace, SplitBehavior::kRemoved);
  } else if (type == "Whitespace") {  // the matches of \w+|[^\w\s]+
    split_at(IsWhiteSpace, SplitBehavior::kRemoved);
    split_at(IsWordCharacter, SplitBehavior::kContiguous);
  } else {
    throw MakeError<DataError>(
        "{}: unsupported pre_tokenizer '{}'{}", node.where(), type,
        SuggestName(type, {"Sequence", "Split", "ByteLevel", "Metaspace", "Digits", "Punctuation",
                           "Whitespace", "WhitespaceSplit"}));
  }
}

}  // namespace

PreTokenizer ReadPreTokenizer(const JsonNode& node, std::optional<bool> lone_prefix_space) {
  PreTokenizer pre_tokenizer;
  AddSteps(node, lone_prefix_space, pre_tokenizer);
  return pre_tokenizer;
}

MetaspaceRule ReadMetaspace(const JsonNode& node) {
  MetaspaceRule rule;
  rule.replacement = node.At("replacement").String();
  if (CodePointCount(rule.replacement) != 1) {
    throw MakeError<DataError>("{}: the replacement \"{}\" is not one character", node.where(),
                               rule.replacement);
  }
  rule.split = node.BoolOr("split", true);
  // Older files have add_prefix_space in place of the scheme.
  const bool adds = node.BoolOr("add_prefix_space", true);
  const std::string scheme = node.StringOr("prepend_scheme", adds ? "always" : "never");
  if (!adds && scheme != "never") {
    throw MakeError<DataError>("{}: add_prefix_space is false, but prepend_scheme is '{}'",
                               node.where(), scheme);
  }
  if (scheme == "always") return rule;
  if (scheme != "first" && scheme != "never") {
    throw MakeError<DataError>("{}: unknown prepend_scheme '{}'", node.where(), scheme);
  }
  rule.prepend = scheme == "first" ? PrependScheme::kFirst : PrependScheme::kNever;
  return rule;
}

}  // namespace condense
