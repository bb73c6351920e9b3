#include "data/tasks/task_filters.h"

#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/stringoptions.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "data/text/python_text.h"

namespace condense {
namespace {

constexpr std::string_view kSpacesAndCommas = " ,";

size_t FindBlank(std::string_view text) {
  const size_t at = text.find('_');
  if (at != text.npos) return at;
  throw MakeError<DataError>("no '_' marks the place of the options in \"{}\"", text);
}

// The byte behind the match of `[.*?]` that begins at text[begin], or npos. No newline inside.
size_t BracketEnd(std::string_view text, size_t begin) {
  const size_t end = text.find_first_of("]\n", begin + 1);
  return end == text.npos || text[end] == '\n' ? text.npos : end + 1;
}

std::string WithoutBrackets(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t end = text[i] == '[' ? BracketEnd(text, i) : text.npos;
    if (end == text.npos) {
      out += text[i++];
    } else {
      i = end;
    }
  }
  return out;
}

std::string Replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t found = text.find(from, at);
    out += text.substr(at, found == text.npos ? found : found - at);
    if (found == text.npos) return out;
    out += to;
    at = found + from.size();
  }
}

// Of the value that begins at text[begin] and belongs to an option a to d: the byte behind the
// first ", ", or npos when the line ends before.
size_t ListedOptionEnd(std::string_view text, size_t begin) {
  const size_t line = std::min(text.find('\n', begin), text.size());
  const size_t comma = text.find(", ", begin);
  return comma == text.npos || comma + 1 >= line ? text.npos : comma + 2;
}

// The same for option e, which takes all that is left; only one newline may end the text.
size_t LastOptionEnd(std::string_view text, size_t begin) {
  const size_t line = std::min(text.find('\n', begin), text.size());
  return line + 1 < text.size() ? text.npos : line;
}

void ToLower(std::string_view text, std::string& out) {
  UErrorCode status = U_ZERO_ERROR;
  icu::StringByteSink<std::string> sink(&out);
  icu::CaseMap::utf8ToLower("", 0, {text.data(), static_cast<int32_t>(text.size())}, sink, nullptr,
                            status);
  CONDENSE_CHECK(U_SUCCESS(status), "{}", u_errorName(status));
}

void ToTitle(std::string_view text, std::string& out) {
  UErrorCode status = U_ZERO_ERROR;
  icu::StringByteSink<std::string> sink(&out);
  icu::CaseMap::utf8ToTitle("", U_TITLECASE_WHOLE_STRING, nullptr,
                            {text.data(), static_cast<int32_t>(text.size())}, sink, nullptr,
                            status);
  CONDENSE_CHECK(U_SUCCESS(status), "{}", u_errorName(status));
}

}  // namespace

bool MakesList(TaskFilter filter) { return filter == TaskFilter::kMathQaOptions; }

// The rest is lowered together with the first code point, because the form of a final sigma depends
// on what precedes it.
std::string Capitalized(std::string_view text) {
  if (text.empty()) return "";
  size_t first_end = 0;
  NextCodePoint(text, first_end);
  const std::string_view first = text.substr(0, first_end);
  std::string capital, lowered_first, lowered;
  ToTitle(first, capital);
  ToLower(first, lowered_first);
  ToLower(text, lowered);
  return capital + lowered.substr(lowered_first.size());
}

std::string HellaSwagCleaned(std::string_view text) {
  const std::string titled = Replaced(PythonStrip(text), " [title]", ". ");
  return Replaced(WithoutBrackets(titled), "  ", " ");
}

std::vector<std::string> MathQaOptions(std::string_view text) {
  constexpr std::string_view kAfterLetter = " ) ";
  std::vector<std::string> options;
  for (size_t i = 0; i < text.size();) {
    const bool letter = text[i] >= 'a' && text[i] <= 'e' &&
                        text.compare(i + 1, kAfterLetter.size(), kAfterLetter) == 0;
    const size_t value = i + 1 + kAfterLetter.size();
    const size_t end = !letter          ? text.npos
                       : text[i] == 'e' ? LastOptionEnd(text, value)
                                        : ListedOptionEnd(text, value);
    if (end == text.npos) {
      ++i;
      continue;
    }
    std::string_view option = text.substr(value, end - value);
    option = option.substr(0, option.find_last_not_of(kSpacesAndCommas) + 1);
    options.emplace_back(option);
    i = end;
  }
  return options;
}

std::string ApplyFilter(TaskFilter filter, std::string_view text) {
  switch (filter) {
    case TaskFilter::kStrip:
      return std::string(PythonStrip(text));
    case TaskFilter::kLeftStrip:
      return std::string(PythonLeftStrip(text));
    case TaskFilter::kCapitalize:
      return Capitalized(text);
    case TaskFilter::kHellaSwag:
      return HellaSwagCleaned(text);
    case TaskFilter::kBeforeBlank:
      return std::string(text.substr(0, FindBlank(text)));
    case TaskFilter::kAfterBlank:
      return std::string(text.substr(FindBlank(text) + 1));
    case TaskFilter::kButLastWord:
      return text.rfind(' ') == text.npos ? "" : std::string(text.substr(0, text.rfind(' ')));
    case TaskFilter::kLastWord:
      return std::string(text.substr(text.rfind(' ') + 1));
    case TaskFilter::kMathQaOptions:
      break;
  }
  CONDENSE_CHECK(false, "filter {} gives a list", EnumName(filter));
}

std::vector<std::string> ApplyListFilter(TaskFilter filter, std::string_view text) {
  CONDENSE_CHECK(filter == TaskFilter::kMathQaOptions, "filter {} gives one text",
                 EnumName(filter));
  return MathQaOptions(text);
}

}  // namespace condense
