#include "tokenizer/components/characters.h"

#include <unicode/uchar.h>

namespace condense {

namespace {

// Whether Unicode had the character in the version `major`.0.
bool IsAsOldAs(UChar32 c, int major) {
  UVersionInfo age;
  u_charAge(c, age);
  return age[0] > 0 && (age[0] < major || (age[0] == major && age[1] == 0));
}

bool HasCategory(UChar32 c, uint32_t mask) { return (U_GET_GC_MASK(c) & mask) != 0; }

}  // namespace

bool IsWhiteSpace(char32_t c) { return u_isUWhiteSpace(static_cast<UChar32>(c)); }

bool IsWordCharacter(char32_t c) {
  const auto character = static_cast<UChar32>(c);
  return u_hasBinaryProperty(character, UCHAR_ALPHABETIC) ||
         u_hasBinaryProperty(character, UCHAR_JOIN_CONTROL) ||
         HasCategory(character, U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK);
}

bool IsNumeric(char32_t c) {
  return HasCategory(static_cast<UChar32>(c), U_GC_ND_MASK | U_GC_NL_MASK | U_GC_NO_MASK);
}

bool IsPunctuation(char32_t c) {
  if (c < 0x80) return c > ' ' && c < 0x7F && u_isalnum(static_cast<UChar32>(c)) == 0;
  // Unicode 11 and 12 moved these two to other categories.
  if (c == 0x166D || c == 0x111C9) return true;
  const auto character = static_cast<UChar32>(c);
  return HasCategory(character, U_GC_P_MASK) && IsAsOldAs(character, 8);
}

bool IsCombiningMark(char32_t c) {
  // Unicode 11 and 12 moved these three between the categories.
  if (c == 0x1CF2 || c == 0x1CF3) return true;
  if (c == 0x111C9) return false;
  const auto character = static_cast<UChar32>(c);
  return HasCategory(character, U_GC_M_MASK) && IsAsOldAs(character, 9);
}

}  // namespace condense
