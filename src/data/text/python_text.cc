#include "data/text/python_text.h"

#include "base/strings.h"

namespace condense {

bool IsPythonSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

size_t TrailingSpaceBegin(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    size_t position = begin;
    if (!IsPythonSpace(NextCodePoint(text, position)) || position != end) break;
    end = begin;
  }
  return end;
}

std::string_view PythonLeftStrip(std::string_view text) {
  size_t begin = 0;
  while (begin < text.size()) {
    size_t position = begin;
    if (!IsPythonSpace(NextCodePoint(text, position))) break;
    begin = position;
  }
  return text.substr(begin);
}

std::string_view PythonStrip(std::string_view text) {
  return PythonLeftStrip(text.substr(0, TrailingSpaceBegin(text)));
}

bool IsPythonBlank(std::string_view text) { return TrailingSpaceBegin(text) == 0; }

}  // namespace condense
