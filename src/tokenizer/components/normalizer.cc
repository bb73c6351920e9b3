#include "tokenizer/components/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>

#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "base/strings.h"
#include "tokenizer/components/characters.h"

namespace condense {

namespace {

class PrependStep final : public NormalizerStep {
 public:
  explicit PrependStep(std::string content) : content_(std::move(content)) {}
  void Apply(NormalizedText& text) const override {
    if (text.text.empty()) return;
    text.text.insert(0, content_);
    if (text.from_first > 0) text.from_first += content_.size();
  }

 private:
  std::string content_;
};

class ReplaceStep final : public NormalizerStep {
 public:
  ReplaceStep(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void Apply(NormalizedText& text) const override {
    std::vector<TextRange> matches;
    Pattern::Searcher(pattern_).FindAll(text.text, matches);
    // What replaces a match counts as its last character, or as the one before an empty match.
    size_t from_first = 0, copied = 0;
    std::string result;
    const auto append = [&](std::string_view part, size_t from_part) {
      if (from_first == result.size()) from_first += from_part;
      result += part;
    };
    const auto copy_until = [&](size_t end) {
      const size_t before = std::clamp(text.from_first, copied, end) - copied;
      append(std::string_view(text.text).substr(copied, end - copied), before);
    };
    for (const TextRange& match : matches) {
      copy_until(match.begin);
      append(content_, match.end == 0 || match.end <= text.from_first ? content_.size() : 0);
      copied = match.end;
    }
    copy_until(text.text.size());
    text = {std::move(result), from_first};
  }

 private:
  Pattern pattern_;
  std::string content_;
};

const icu::Normalizer2& Table(NormalForm form) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* table = nullptr;
  switch (form) {
    case NormalForm::kNfc:
      table = icu::Normalizer2::getNFCInstance(error);
      break;
    case NormalForm::kNfd:
      table = icu::Normalizer2::getNFDInstance(error);
      break;
    case NormalForm::kNfkc:
      table = icu::Normalizer2::getNFKCInstance(error);
      break;
    case NormalForm::kNfkd:
      table = icu::Normalizer2::getNFKDInstance(error);
      break;
  }
  CONDENSE_CHECK(U_SUCCESS(error) && table != nullptr, "ICU lacks its data: {}",
                 u_errorName(error));
  return *table;
}

// The characters of Unicode 9.
icu::UnicodeSet OldCharacters() {
  UErrorCode error = U_ZERO_ERROR;
  icu::UnicodeSet set(u"[:age=9.0:]", error);
  CONDENSE_CHECK(U_SUCCESS(error), "ICU lacks its data: {}", u_errorName(error));
  set.freeze();
  return set;
}

class UnicodeStep final : public NormalizerStep {
 public:
  explicit UnicodeStep(NormalForm form)
      : characters_(OldCharacters()), form_(Table(form), characters_) {}
  void Apply(NormalizedText& text) const override {
    const size_t from_first =
        CodePointCount(Normalize(std::string_view(text.text).substr(0, text.from_first)));
    text.text = Normalize(text.text);
    text.from_first = 0;
    for (size_t i = 0; i < from_first && text.from_first < text.text.size(); ++i) {
      NextCodePoint(text.text, text.from_first);
    }
  }

 private:
  std::string Normalize(std::string_view text) const {
    std::string result;
    icu::StringByteSink<std::string> sink(&result);
    UErrorCode error = text.size() > INT32_MAX ? U_BUFFER_OVERFLOW_ERROR : U_ZERO_ERROR;
    const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
    form_.normalizeUTF8(0, piece, sink, nullptr, error);
    if (U_SUCCESS(error)) return result;
    throw MakeError<DataError>("cannot normalize a text of {} bytes: {}", text.size(),
                               u_errorName(error));
  }

  icu::UnicodeSet characters_;
  icu::FilteredNormalizer2 form_;  // refers to characters_
};

class LowercaseStep final : public NormalizerStep {
 public:
  void Apply(NormalizedText& text) const override {
    std::string result;
    size_t from_first = 0;
    for (size_t position = 0; position < text.text.size();) {
      const char32_t character = NextCodePoint(text.text, position);
      AppendUtf8(static_cast<char32_t>(u_tolower(static_cast<UChar32>(character))), result);
      // The one character whose lower case is two: i with a dot above.
      if (character == 0x130) AppendUtf8(0x307, result);
      if (position <= text.from_first) from_first = result.size();
    }
    text = {std::move(result), from_first};
  }
};

class StripSpaceStep final : public NormalizerStep {
 public:
  StripSpaceStep(bool left, bool right) : left_(left), right_(right) {}
  void Apply(NormalizedText& text) const override {
    size_t begin = text.text.size(), end = 0;
    for (size_t position = 0; position < text.text.size();) {
      const size_t start = position;
      if (IsWhiteSpace(NextCodePoint(text.text, position))) continue;
      begin = std::min(begin, start);
      end = position;
    }
    begin = left_ ? std::min(begin, text.text.size()) : 0;
    end = right_ ? std::max(begin, end) : text.text.size();
    const size_t from_first = std::clamp(text.from_first, begin, end) - begin;
    text = {text.text.substr(begin, end - begin), from_first};
  }

 private:
  bool left_, right_;
};

class StripAccentsStep final : public NormalizerStep {
 public:
  void Apply(NormalizedText& text) const override {
    std::string result;
    size_t from_first = 0;
    for (size_t position = 0; position < text.text.size();) {
      const size_t start = position;
      if (IsCombiningMark(NextCodePoint(text.text, position))) continue;
      result.append(text.text, start, position - start);
      if (position <= text.from_first) from_first = result.size();
    }
    text = {std::move(result), from_first};
  }
};

}  // namespace

Normalizer& Normalizer::Add(std::unique_ptr<NormalizerStep> step) {
  steps_.push_back(std::move(step));
  return *this;
}

Normalizer& Normalizer::Prepend(std::string text) {
  return Add(std::make_unique<PrependStep>(std::move(text)));
}

Normalizer& Normalizer::Replace(Pattern pattern, std::string content) {
  return Add(std::make_unique<ReplaceStep>(std::move(pattern), std::move(content)));
}

Normalizer& Normalizer::Unicode(NormalForm form) {
  return Add(std::make_unique<UnicodeStep>(form));
}

Normalizer& Normalizer::Lowercase() { return Add(std::make_unique<LowercaseStep>()); }

Normalizer& Normalizer::StripSpace(bool left, bool right) {
  return Add(std::make_unique<StripSpaceStep>(left, right));
}

Normalizer& Normalizer::StripAccents() { return Add(std::make_unique<StripAccentsStep>()); }

NormalizedText Normalizer::Normalize(std::string_view text) const {
  NormalizedText result{std::string(text)};
  if (!text.empty()) NextCodePoint(text, result.from_first);
  for (const auto& step : steps_) step->Apply(result);
  return result;
}

Pattern ReadPattern(const JsonNode& node) {
  if (const auto literal = node.Find("String")) {
    std::string text = literal->String();
    if (text.empty()) throw MakeError<DataError>("{}: the pattern is empty", literal->where());
    return Pattern::Literal(std::move(text));
  }
  const auto regex = node.Find("Regex");
  if (!regex) throw MakeError<DataError>("{}: expected \"String\" or \"Regex\"", node.where());
  return Pattern::Regex(regex->String(), regex->where());
}

namespace {

void AddSteps(const JsonNode& node, Normalizer& normalizer) {
  const std::string type = node.At("type").String();
  if (type == "Sequence") {
    for (const JsonNode& step : node.At("normalizers").Elements()) AddSteps(step, normalizer);
  } else if (type == "Prepend") {
    normalizer.Prepend(node.At("prepend").String());
  } else if (type == "Replace") {
    normalizer.Replace(ReadPattern(node.At("pattern")), node.At("content").String());
  } else if (type == "NFC") {
    normalizer.Unicode(NormalForm::kNfc);
  } else if (type == "NFD") {
    normalizer.Unicode(NormalForm::kNfd);
  } else if (type == "NFKC") {
    normalizer.Unicode(NormalForm::kNfkc);
  } else if (type == "NFKD") {
    normalizer.Unicode(NormalForm::kNfkd);
  } else if (type == "Lowercase") {
    normalizer.Lowercase();
  } else if (type == "Strip") {
    normalizer.StripSpace(node.BoolOr("strip_left", true), node.BoolOr("strip_right", true));
  } else if (type == "StripAccents") {
    normalizer.StripAccents();
  } else {
    throw MakeError<DataError>(
        "{}: unsupported normalizer '{}'{}", node.where(), type,
        SuggestName(type, {"Sequence", "Prepend", "Replace", "NFC", "NFD", "NFKC", "NFKD",
                           "Lowercase", "Strip", "StripAccents"}));
  }
}

}  // namespace

Normalizer ReadNormalizer(const JsonNode& node) {
  Normalizer normalizer;
  AddSteps(node, normalizer);
  return normalizer;
}

}  // namespace condense
