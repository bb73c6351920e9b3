// Sets of characters by which texts are split and cleaned.
//
// Membership is that of the library `tokenizers`, whose parts carry tables of Unicode of different
// ages. ICU's tables are newer; a character that came later than the table meant is no member.
#pragma once

namespace condense {

bool IsWhiteSpace(char32_t c);     // White_Space
bool IsWordCharacter(char32_t c);  // \w of UTS 18
bool IsNumeric(char32_t c);        // Nd, Nl and No
bool IsPunctuation(char32_t c);    // of ASCII, or P* of Unicode 8
bool IsCombiningMark(char32_t c);  // M* of Unicode 9

}  // namespace condense
