// Searches of tokenizer.json: a literal string or a regular expression, by PCRE2 over UTF-8.
//
// The expressions are written for Oniguruma. Where PCRE2 reads the same letters differently they
// are translated (\s and \w mean Unicode's White_Space and word characters) or refused (nested
// classes).
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
    // Appends the matches in `text` (valid UTF-8), in order and without overlap, to `matches`.
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
  std::unique_ptr<Compiled> compiled_;  // null: a literal
};

// `text` with every match replaced by `content`.
std::string ReplaceAll(std::string_view text, const Pattern& pattern, std::string_view content);

}  // namespace condense
