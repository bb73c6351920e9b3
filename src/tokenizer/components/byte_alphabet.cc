#include "tokenizer/components/byte_alphabet.h"

#include <array>

#include "base/strings.h"

namespace condense {

namespace {

constexpr size_t kCharacters = 0x144;  // the largest character of the alphabet is U+0143

struct Alphabet {
  std::array<char32_t, 256> of_byte;
  std::array<int16_t, kCharacters> to_byte;
};

constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr Alphabet MakeAlphabet() {
  Alphabet alphabet{};
  for (int16_t& byte : alphabet.to_byte) byte = -1;
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t character = StandsForItself(byte) ? static_cast<char32_t>(byte) : next++;
    alphabet.of_byte[byte] = character;
    alphabet.to_byte[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = MakeAlphabet();

}  // namespace

char32_t CharacterOfByte(uint8_t byte) { return kAlphabet.of_byte[byte]; }

std::string EncodeBytes(std::string_view bytes) {
  std::string characters;
  for (const char byte : bytes) AppendUtf8(CharacterOfByte(static_cast<uint8_t>(byte)), characters);
  return characters;
}

std::optional<std::string> DecodeBytes(std::string_view characters) {
  std::string bytes;
  for (size_t position = 0; position < characters.size();) {
    const char32_t character = NextCodePoint(characters, position);
    if (character >= kCharacters || kAlphabet.to_byte[character] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.to_byte[character]);
  }
  return bytes;
}

}  // namespace condense
