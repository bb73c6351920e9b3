// White space as Python's str.isspace, str.strip, str.lstrip and str.rstrip see it. The programs
// whose texts and requests are reproduced here are Python programs, and their notion differs from
// ASCII and from Unicode's White_Space property: U+001C..U+001F count, U+200B and U+FEFF do not.
#pragma once

#include <cstddef>
#include <string_view>

namespace condense {

bool IsPythonSpace(char32_t code_point);
// True for the empty text too.
bool IsPythonBlank(std::string_view text);
std::string_view PythonStrip(std::string_view text);
std::string_view PythonLeftStrip(std::string_view text);
// The byte at which the trailing white space begins; text.size() when there is none.
size_t TrailingSpaceBegin(std::string_view text);

}  // namespace condense
