#include "tokenizer/components/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "base/error.h"
#include "base/strings.h"

namespace condense {

struct Pattern::Compiled {
  pcre2_code* code = nullptr;
  ~Compiled() { pcre2_code_free(code); }
};

struct Pattern::Searcher::State {
  pcre2_match_data* match = nullptr;
  pcre2_match_context* context = nullptr;
  ~State() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
  }
};

namespace {

constexpr std::string_view kWordClass = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
// Outside a class Oniguruma takes the superscript digits and fractions of Latin-1 for word
// characters too.
constexpr std::string_view kMoreWordCharacters = "\\xB2\\xB3\\xB9\\xBC-\\xBE";

constexpr std::string_view kHexDigits = "0-9A-Fa-f";

std::string ErrorText(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

pcre2_code* Compile(std::string_view expression, uint32_t options, int& error) {
  PCRE2_SIZE offset = 0;
  return pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(), options,
                       &error, &offset, nullptr);
}

bool IsScript(std::string_view name) {
  int error = 0;
  pcre2_code* code = Compile(fmt::format("\\p{{sc:{}}}", name), PCRE2_UTF, error);
  pcre2_code_free(code);
  return code != nullptr;
}

// Rewrites what Oniguruma and PCRE2 read differently.
class Translator {
 public:
  Translator(std::string_view expression, std::string_view where)
      : expression_(expression), where_(where) {}

  std::string Run() {
    for (size_t i = 0; i < expression_.size(); ++i) {
      const char c = expression_[i];
      if (c == '\\' && i + 1 < expression_.size()) {
        Escape(++i);
      } else if (classes_ > 0) {
        InClass(c, i);
      } else {
        if (c == '[') {
          classes_ = 1;
          class_start_ = i + (At(i + 1) == '^' ? 2 : 1);
        }
        out_ += c;
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void Refuse(std::string_view what) const {
    throw MakeError<DataError>("{}: the expression '{}' uses {}, which is not supported", where_,
                               expression_, what);
  }

  char At(size_t i) const { return i < expression_.size() ? expression_[i] : '\0'; }

  // A set of characters, inside a class or as one.
  void Set(std::string_view members, std::string_view more_outside = "") {
    if (classes_ > 0) {
      out_ += members;
    } else {
      out_ += fmt::format("[{}{}]", members, more_outside);
    }
  }

  void Escape(size_t& i) {
    const char c = expression_[i];
    switch (c) {
      case 's':
        out_ += "\\p{White_Space}";
        return;
      case 'S':
        out_ += "\\P{White_Space}";
        return;
      case 'w':
        return Set(kWordClass, kMoreWordCharacters);
      case 'W':
        if (classes_ > 0) Refuse("\\W inside a class");
        out_ += fmt::format("[^{}{}]", kWordClass, kMoreWordCharacters);
        return;
      case 'h':
        return Set(kHexDigits);
      case 'H':
        if (classes_ > 0) Refuse("\\H inside a class");
        out_ += fmt::format("[^{}]", kHexDigits);
        return;
      case 'p':
      case 'P':
        return Property(i);
      default:
        out_ += '\\', out_ += c;
    }
  }

  // \p{Han} is the script. PCRE2 takes it for the script extensions, which are more characters.
  void Property(size_t& i) {
    out_ += '\\', out_ += expression_[i];
    const size_t end = expression_.find('}', i);
    if (At(i + 1) != '{' || end == expression_.npos) return;
    const size_t begin = i + (At(i + 2) == '^' ? 3 : 2);
    const std::string_view name = expression_.substr(begin, end - begin);
    out_ += expression_.substr(i + 1, begin - i - 1);
    if (IsScript(name)) out_ += "sc:";
    out_ += name;
    out_ += '}';
    i = end;
  }

  // A class inside a class is a part of it, [^a[bc]] is [^abc], unless it is more than that.
  void InClass(char c, size_t i) {
    const char next = At(i + 1);
    if (c == '&' && next == '&') Refuse("an intersection of classes");
    if (c == '[') {
      if (next == '^' || next == ']' || next == ':' || At(i - 1) == '-') {
        Refuse("a class of this kind inside a class");
      }
      ++classes_;
      class_start_ = i + 1;
      return;
    }
    if (c == ']' && i > class_start_) {
      --classes_;
      if (classes_ > 0) {
        if (next == '-') Refuse("a class of this kind inside a class");
        return;
      }
    }
    out_ += c;
  }

  std::string_view expression_, where_;
  std::string out_;
  int classes_ = 0;         // that are open
  size_t class_start_ = 0;  // a ']' here is an ordinary character
};

}  // namespace

Pattern::Pattern() = default;
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

Pattern Pattern::Literal(std::string text) {
  Pattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

Pattern Pattern::Characters(bool (*is_member)(char32_t)) {
  Pattern pattern;
  pattern.is_member_ = is_member;
  return pattern;
}

Pattern Pattern::Regex(std::string_view expression, std::string_view where) {
  const std::string translated = Translator(expression, where).Run();
  int error = 0;
  Pattern pattern;
  pattern.compiled_ = std::make_unique<Compiled>();
  // In Oniguruma ^ and $ match at every line.
  pattern.compiled_->code =
      Compile(translated, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, error);
  if (pattern.compiled_->code == nullptr) {
    throw MakeError<DataError>("{}: malformed expression '{}': {}", where, expression,
                               ErrorText(error));
  }
  // Without a just-in-time compiler pcre2_match interprets; only speed differs.
  pcre2_jit_compile(pattern.compiled_->code, PCRE2_JIT_COMPLETE);
  return pattern;
}

Pattern::Searcher::Searcher(const Pattern& pattern) : pattern_(pattern) {
  if (!pattern.compiled_) return;
  state_ = std::make_unique<State>();
  state_->match = pcre2_match_data_create(1, nullptr);
  state_->context = pcre2_match_context_create(nullptr);
  CONDENSE_CHECK(state_->match != nullptr && state_->context != nullptr, "out of memory");
  // The default limit would fail on megabytes of white space, although they take linear time.
  pcre2_set_match_limit(state_->context, 0xFFFFFFFF);
}

Pattern::Searcher::~Searcher() = default;

bool Pattern::Searcher::FindFrom(std::string_view text, size_t position, TextRange& match) {
  if (pattern_.is_member_ != nullptr) {
    while (position < text.size()) {
      match.begin = position;
      const bool is_member = pattern_.is_member_(NextCodePoint(text, position));
      match.end = position;
      if (is_member) return true;
    }
    return false;
  }
  if (!state_) {
    const size_t begin = text.find(pattern_.literal_, position);
    match = {begin, begin + pattern_.literal_.size()};
    return begin != text.npos;
  }
  const auto search = [&](uint32_t options) {
    return pcre2_match(pattern_.compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                       text.size(), position, PCRE2_NO_UTF_CHECK | options, state_->match,
                       state_->context);
  };
  int result = search(0);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = search(PCRE2_NO_JIT);
  if (result == PCRE2_ERROR_NOMATCH) return false;
  // A lone group leaves no room in the vector of one: the return is then 0, and the match is there.
  if (result < 0) {
    throw MakeError<DataError>("cannot split the text at byte {}: {}", position, ErrorText(result));
  }
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(state_->match);
  match = {offsets[0], offsets[1]};
  return true;
}

void Pattern::Searcher::FindAll(std::string_view text, std::vector<TextRange>& matches) {
  if (text.empty()) return;  // not even an empty match
  TextRange match;
  size_t last_end = text.npos;
  for (size_t position = 0; position <= text.size() && FindFrom(text, position, match);) {
    if (match.begin == match.end && match.end == last_end) {
      if (position == text.size()) return;
      NextCodePoint(text, position);
      continue;
    }
    matches.push_back(match);
    position = last_end = match.end;
  }
}

std::string ReplaceAll(std::string_view text, const Pattern& pattern, std::string_view content) {
  std::vector<TextRange> matches;
  Pattern::Searcher(pattern).FindAll(text, matches);
  std::string result;
  result.reserve(text.size() + matches.size() * content.size());
  size_t copied = 0;
  for (const TextRange& match : matches) {
    result += text.substr(copied, match.begin - copied);
    result += content;
    copied = match.end;
  }
  result += text.substr(copied);
  return result;
}

}  // namespace condense
