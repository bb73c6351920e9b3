// GPT-2's printable alphabet: every byte is one character, so that byte strings can be written in
// JSON. Printable Latin-1 stands for itself, the others for U+0100 onwards (a space is U+0120,
// "Ġ").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace condense {

char32_t CharacterOfByte(uint8_t byte);
std::string EncodeBytes(std::string_view bytes);
// Nullopt if a character is not of the alphabet.
std::optional<std::string> DecodeBytes(std::string_view characters);

}  // namespace condense
