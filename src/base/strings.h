// Text helpers that several modules share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace condense {

std::vector<std::string> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view Trim(std::string_view text);  // ASCII white space
bool StartsWith(std::string_view text, std::string_view prefix);
bool EndsWith(std::string_view text, std::string_view suffix);
bool Contains(const std::vector<std::string>& texts, std::string_view text);

// The candidate with the least edit distance to `name`, if it is near enough to be a likely slip.
std::optional<std::string> NearestName(std::string_view name,
                                       const std::vector<std::string>& candidates);
// "; did you mean 'x'?" or "; known: a, b, c" for the end of an error message.
std::string SuggestName(std::string_view name, const std::vector<std::string>& candidates);

// Byte offset of the first invalid UTF-8 sequence, if there is one.
std::optional<size_t> InvalidUtf8At(std::string_view text);
// Decodes one code point at `position` and advances it. Invalid bytes give U+FFFD, one for each
// maximal invalid prefix, as Unicode recommends.
char32_t NextCodePoint(std::string_view text, size_t& position);
void AppendUtf8(char32_t code_point, std::string& out);
size_t CodePointCount(std::string_view text);

std::string ToHex(const uint8_t* bytes, size_t count);
std::string Lower(std::string_view text);                         // ASCII
std::string HumanBytes(uint64_t bytes);                           // "1.50 GiB"
std::string HumanDuration(double seconds);                        // "1 h 04 min", "12.3 s"
std::string GroupThousands(int64_t value, char separator = ',');  // "6,738,415,616"

}  // namespace condense
