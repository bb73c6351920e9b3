// Searches of tokenizer.json: a literal string, a set of characters, or a regular expression, by
// PCRE2 over UTF-8.
//
// The expressions are written for Oniguruma. Where PCRE2 reads the same letters differently they
// are translated (\s and \w mean Unicode's White_Space and word characters, \p{Han} a script, a
// class inside a class is a part of it) or refused (intersections of classes).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace condense {

struct TextRange {
  size_t begin = 0, end = 0;
  bool operator==(const TextRange&) const = default;
};

class Pattern {
 public:
  static Pattern Literal(std::string text);
  // Each character for which `is_member` is true is a match.
  static Pattern Characters(bool (*is_member)(char32_t));
  // DataError, beginning with `where`, if the expression is malformed or not supported.
  static Pattern Regex(std::string_view expression, std::string_view where);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  // Searches many texts. Threads may share a pattern but not a searcher.
  class Searcher {
   public:
    explicit Searcher(const Pattern& pattern);
    ~Searcher();
    Searcher(const Searcher&) = delete;
    // Appends the matches in `text` (valid UTF-8), in order and without overlap, to `matches`. An
    // empty match where the match before it ends does not count, nor one in an empty text.
    void FindAll(std::string_view text, std::vector<TextRange>& matches);

   private:
    bool FindFrom(std::string_view text, size_t position, TextRange& match);
    struct State;
    const Pattern& pattern_;
    std::unique_ptr<State> state_;
  };

 private:
  Pattern();
  struct Compiled;
  std::string literal_;
  bool (*is_member_)(char32_t) = nullptr;
  std::unique_ptr<Compiled> compiled_;  // null: a literal or a set of characters
};

// `text` with every match replaced by `content`.
std::string ReplaceAll(std::string_view text, const Pattern& pattern, std::string_view content);

}  // namespace condense
