#include "tokenizer/components/decoder.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/strings.h"
#include "tokenizer/components/byte_alphabet.h"
#include "tokenizer/components/normalizer.h"
#include "tokenizer/components/pre_tokenizer.h"

namespace condense {

namespace {

constexpr std::string_view kReplacementCharacter = "\uFFFD";

std::string ReplaceInvalid(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (size_t position = 0; position < bytes.size();) {
    AppendUtf8(NextCodePoint(bytes, position), text);
  }
  return text;
}

class ByteLevelStep final : public DecoderStep {
 public:
  void Apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += DecodeBytes(token).value_or(token);
    tokens.assign(1, ReplaceInvalid(bytes));
  }
};

class ReplaceStep final : public DecoderStep {
 public:
  ReplaceStep(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void Apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) token = ReplaceAll(token, pattern_, content_);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

std::optional<char> ByteOfToken(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int value = 0;
  for (const char digit : token.substr(3, 2)) {
    const size_t number = std::string_view("0123456789ABCDEF0123456789abcdef").find(digit);
    if (number == std::string_view::npos) return std::nullopt;
    value = value * 16 + static_cast<int>(number % 16);
  }
  return static_cast<char>(value);
}

class ByteFallbackStep final : public DecoderStep {
 public:
  void Apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> result;
    std::string bytes;
    const auto flush = [&] {
      if (!InvalidUtf8At(bytes)) {
        if (!bytes.empty()) result.push_back(bytes);
      } else {
        result.insert(result.end(), bytes.size(), std::string(kReplacementCharacter));
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = ByteOfToken(token)) {
        bytes += *byte;
        continue;
      }
      flush();
      result.push_back(std::move(token));
    }
    flush();
    tokens = std::move(result);
  }
};

class FuseStep final : public DecoderStep {
 public:
  void Apply(std::vector<std::string>& tokens) const override {
    tokens.assign(1, Join(tokens, ""));
  }
};

class StripStep final : public DecoderStep {
 public:
  StripStep(char32_t content, int64_t start, int64_t stop) : start_(start), stop_(stop) {
    AppendUtf8(content, content_);
  }
  void Apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (int64_t i = 0; i < start_ && rest.starts_with(content_); ++i) {
        rest.remove_prefix(content_.size());
      }
      for (int64_t i = 0; i < stop_ && rest.ends_with(content_); ++i) {
        rest.remove_suffix(content_.size());
      }
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  int64_t start_, stop_;
};

class MetaspaceStep final : public DecoderStep {
 public:
  MetaspaceStep(std::string replacement, bool drop_first)
      : replacement_(Pattern::Literal(std::move(replacement))), drop_first_(drop_first) {}
  void Apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = ReplaceAll(tokens[i], replacement_, i == 0 && drop_first_ ? "" : " ");
    }
  }

 private:
  Pattern replacement_;
  bool drop_first_;
};

}  // namespace

Decoder& Decoder::ByteLevel() {
  steps_.push_back(std::make_unique<ByteLevelStep>());
  return *this;
}

Decoder& Decoder::Replace(Pattern pattern, std::string content) {
  steps_.push_back(std::make_unique<ReplaceStep>(std::move(pattern), std::move(content)));
  return *this;
}

Decoder& Decoder::ByteFallback() {
  steps_.push_back(std::make_unique<ByteFallbackStep>());
  return *this;
}

Decoder& Decoder::Fuse() {
  steps_.push_back(std::make_unique<FuseStep>());
  return *this;
}

Decoder& Decoder::Strip(char32_t content, int64_t start, int64_t stop) {
  steps_.push_back(std::make_unique<StripStep>(content, start, stop));
  return *this;
}

Decoder& Decoder::Metaspace(std::string replacement, bool drop_first) {
  steps_.push_back(std::make_unique<MetaspaceStep>(std::move(replacement), drop_first));
  return *this;
}

Decoder& Decoder::Join() {
  joins_ = true;
  return *this;
}

std::string Decoder::Decode(std::vector<std::string> tokens) const {
  for (const auto& step : steps_) step->Apply(tokens);
  return condense::Join(tokens, steps_.empty() && !joins_ ? " " : "");
}

namespace {

void AddStrip(const JsonNode& node, Decoder& decoder) {
  const std::string content = node.At("content").String();
  size_t position = 0;
  const char32_t character = content.empty() ? 0 : NextCodePoint(content, position);
  if (content.empty() || position != content.size()) {
    throw MakeError<DataError>("{}: \"content\" is not one character", node.where());
  }
  decoder.Strip(character, node.At("start").Integer(), node.At("stop").Integer());
}

void AddSteps(const JsonNode& node, Decoder& decoder) {
  const std::string type = node.At("type").String();
  if (type == "Sequence") {
    decoder.Join();  // one without steps
    for (const JsonNode& step : node.At("decoders").Elements()) AddSteps(step, decoder);
  } else if (type == "ByteLevel") {
    decoder.ByteLevel();
  } else if (type == "Replace") {
    decoder.Replace(ReadPattern(node.At("pattern")), node.At("content").String());
  } else if (type == "ByteFallback") {
    decoder.ByteFallback();
  } else if (type == "Fuse") {
    decoder.Fuse();
  } else if (type == "Strip") {
    AddStrip(node, decoder);
  } else if (type == "Metaspace") {
    const MetaspaceRule rule = ReadMetaspace(node);
    decoder.Metaspace(rule.replacement, rule.prepend != PrependScheme::kNever);
  } else {
    throw MakeError<DataError>("{}: unsupported decoder '{}'{}", node.where(), type,
                               SuggestName(type, {"Sequence", "ByteLevel", "Replace",
                                                  "ByteFallback", "Fuse", "Strip", "Metaspace"}));
  }
}

}  // namespace

Decoder ReadDecoder(const JsonNode& node) {
  Decoder decoder;
  AddSteps(node, decoder);
  return decoder;
}

}  // namespace condense
