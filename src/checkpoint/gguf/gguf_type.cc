#include "checkpoint/gguf/gguf_type.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "tensor/tensor.h"

namespace condense {
namespace {

// ---- parts of blocks

template <class T>
T Load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

float Half(const uint8_t* bytes) {
  return static_cast<float>(at::Half(Load<uint16_t>(bytes), at::Half::from_bits()));
}

int Nibble(uint8_t byte, size_t high) { return high != 0 ? byte >> 4 : byte & 15; }
int Bit(uint32_t bits, size_t index) { return static_cast<int>(bits >> index & 1); }
int TwoBits(uint32_t bits, size_t index) { return static_cast<int>(bits >> (2 * index) & 3); }

// Elements 0..15 of a block of 32 are the low nibbles of 16 bytes, elements 16..31 the high ones.
int NibbleOf32(const uint8_t* nibbles, size_t element) {
  return Nibble(nibbles[element % 16], element / 16);
}

// Element of 256 in 64 bytes: each 32 bytes hold 128 elements, two bits of four runs of 32.
int TwoBitsOf256(const uint8_t* bytes, size_t element) {
  return TwoBits(bytes[element / 128 * 32 + element % 32], element / 32 % 4);
}

// Element of 256 in 128 bytes: each 32 bytes hold 64 elements, low and high nibbles.
int NibbleOf256(const uint8_t* bytes, size_t element) {
  return Nibble(bytes[element / 64 * 32 + element % 32], element / 32 % 2);
}

// Element of 256 in 32 bytes: bit k of byte i belongs to element 32 k + i.
int BitOf256(const uint8_t* bytes, size_t element) {
  return Bit(bytes[element % 32], element / 32);
}

// The levels of the non-linear 4-bit types.
constexpr std::array<int8_t, 16> kLevels{-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};

// Scales and minima of the 8 groups of Q4_K and Q5_K, 6 bits each in 12 bytes: bytes 0..3 and 4..7
// hold those of groups 0..3 in their low six bits, and above them the two high bits of groups 4..7,
// whose low four bits are the nibbles of bytes 8..11.
std::pair<int, int> ScaleAndMinimum(const uint8_t* packed, size_t group) {
  if (group < 4) return {packed[group] & 63, packed[group + 4] & 63};
  const uint8_t low = packed[group + 4];
  return {Nibble(low, 0) | packed[group - 4] >> 6 << 4, Nibble(low, 1) | packed[group] >> 6 << 4};
}

// Scale of one of the 16 groups of Q3_K, 6 bits each in 12 bytes: low nibbles in bytes 0..7, two
// high bits in bytes 8..11.
int ScaleOfQ3K(const uint8_t* packed, size_t group) {
  return (Nibble(packed[group % 8], group / 8) | TwoBits(packed[8 + group % 4], group / 4) << 4) -
         32;
}

// ---- formats: how a block is laid out, and its elements

struct F32 {
  static constexpr uint32_t kElements = 1, kBytes = 4;
  static void Decode(const uint8_t* block, float* out) { *out = Load<float>(block); }
};

struct F16 {
  static constexpr uint32_t kElements = 1, kBytes = 2;
  static void Decode(const uint8_t* block, float* out) { *out = Half(block); }
};

struct BF16 {
  static constexpr uint32_t kElements = 1, kBytes = 2;
  static void Decode(const uint8_t* block, float* out) {
    const uint32_t bits = static_cast<uint32_t>(Load<uint16_t>(block)) << 16;
    std::memcpy(out, &bits, sizeof bits);
  }
};

struct Q4_0 {  // scale | 16 bytes of nibbles
  static constexpr uint32_t kElements = 32, kBytes = 18;
  static void Decode(const uint8_t* block, float* out) {
    const float scale = Half(block);
    for (size_t i = 0; i < kElements; ++i) {
      out[i] = scale * static_cast<float>(NibbleOf32(block + 2, i) - 8);
    }
  }
};

struct Q4_1 {  // scale, minimum | 16 bytes of nibbles
  static constexpr uint32_t kElements = 32, kBytes = 20;
  static void Decode(const uint8_t* block, float* out) {
    const float scale = Half(block), minimum = Half(block + 2);
    for (size_t i = 0; i < kElements; ++i) {
      out[i] = scale * static_cast<float>(NibbleOf32(block + 4, i)) + minimum;
    }
  }
};

struct Q5_0 {  // scale | 32 fifth bits | 16 bytes of nibbles
  static constexpr uint32_t kElements = 32, kBytes = 22;
  static void Decode(const uint8_t* block, float* out) {
    const float scale = Half(block);
    const auto high = Load<uint32_t>(block + 2);
    for (size_t i = 0; i < kElements; ++i) {
      out[i] = scale * static_cast<float>((NibbleOf32(block + 6, i) | Bit(high, i) << 4) - 16);
    }
  }
};

struct Q5_1 {  // scale, minimum | 32 fifth bits | 16 bytes of nibbles
  static constexpr uint32_t kElements = 32, kBytes = 24;
  static void Decode(const uint8_t* block, float* out) {
    const float scale = Half(block), minimum = Half(block + 2);
    const auto high = Load<uint32_t>(block + 4);
    for (size_t i = 0; i < kElements; ++i) {
      out[i] = scale * static_cast<float>(NibbleOf32(block + 8, i) | Bit(high, i) << 4) + minimum;
    }
  }
};

struct Q8_0 {  // scale | 32 signed bytes
  static constexpr uint32_t kElements = 32, kBytes = 34;
  static void Decode(const uint8_t* block, float* out) {
    const float scale = Half(block);
    for (size_t i = 0; i < kElements; ++i) {
      out[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
    }
  }
};

struct Q2_K {  // 16 nibble pairs (scale, minimum) | 64 bytes of two bits | scale, minimum
  static constexpr uint32_t kElements = 256, kBytes = 84;
  static void Decode(const uint8_t* block, float* out) {
    const float scale = Half(block + 80), minimum = Half(block + 82);
    for (size_t group = 0; group < 16; ++group) {
      const float group_scale = scale * static_cast<float>(Nibble(block[group], 0));
      const float group_minimum = minimum * static_cast<float>(Nibble(block[group], 1));
      for (size_t i = 16 * group; i < 16 * group + 16; ++i) {
        out[i] = group_scale * static_cast<float>(TwoBitsOf256(block + 16, i)) - group_minimum;
      }
    }
  }
};

struct Q3_K {  // 32 bytes of third bits | 64 bytes of two bits | 12 bytes of scales | scale
  static constexpr uint32_t kElements = 256, kBytes = 110;
  static void Decode(const uint8_t* block, float* out) {
    const float scale = Half(block + 108);
    for (size_t group = 0; group < 16; ++group) {
      const float group_scale = scale * static_cast<float>(ScaleOfQ3K(block + 96, group));
      for (size_t i = 16 * group; i < 16 * group + 16; ++i) {
        const int level = (TwoBitsOf256(block + 32, i) | BitOf256(block, i) << 2) - 4;
        out[i] = group_scale * static_cast<float>(level);
      }
    }
  }
};

// Decodes 8 groups of 32 elements, each of which has a scale and a minimum of its own.
template <class LevelOf>
void DecodeAffineGroups(const uint8_t* block, float* out, LevelOf level_of) {
  const float scale = Half(block), minimum = Half(block + 2);
  for (size_t group = 0; group < 8; ++group) {
    const auto [s, m] = ScaleAndMinimum(block + 4, group);
    const float group_scale = scale * static_cast<float>(s);
    const float group_minimum = minimum * static_cast<float>(m);
    for (size_t i = 32 * group; i < 32 * group + 32; ++i) {
      out[i] = group_scale * static_cast<float>(level_of(i)) - group_minimum;
    }
  }
}

struct Q4_K {  // scale, minimum | 12 bytes of scales and minima | 128 bytes of nibbles
  static constexpr uint32_t kElements = 256, kBytes = 144;
  static void Decode(const uint8_t* block, float* out) {
    DecodeAffineGroups(block, out, [&](size_t i) { return NibbleOf256(block + 16, i); });
  }
};

// scale, minimum | 12 bytes of scales and minima | 32 bytes of fifth bits | 128 bytes of nibbles
struct Q5_K {
  static constexpr uint32_t kElements = 256, kBytes = 176;
  static void Decode(const uint8_t* block, float* out) {
    DecodeAffineGroups(block, out, [&](size_t i) {
      return NibbleOf256(block + 48, i) | BitOf256(block + 16, i) << 4;
    });
  }
};

// 128 bytes of nibbles | 64 bytes of two high bits | 16 signed scales | scale. Each 64 bytes of
// nibbles hold 128 elements: the low nibbles come first.
struct Q6_K {
  static constexpr uint32_t kElements = 256, kBytes = 210;
  static void Decode(const uint8_t* block, float* out) {
    const float scale = Half(block + 208);
    for (size_t i = 0; i < kElements; ++i) {
      const float group_scale =
          scale * static_cast<float>(static_cast<int8_t>(block[192 + i / 16]));
      const int low = Nibble(block[i / 128 * 64 + i % 64], i / 64 % 2);
      const int level = (low | TwoBitsOf256(block + 128, i) << 4) - 32;
      out[i] = group_scale * static_cast<float>(level);
    }
  }
};

struct IQ4_NL {  // scale | 16 bytes of nibbles that number levels
  static constexpr uint32_t kElements = 32, kBytes = 18;
  static void Decode(const uint8_t* block, float* out) {
    const float scale = Half(block);
    for (size_t i = 0; i < kElements; ++i) {
      out[i] = scale * static_cast<float>(kLevels[static_cast<size_t>(NibbleOf32(block + 2, i))]);
    }
  }
};

// scale | two high bits of 8 group scales | their low nibbles | 8 groups of 16 bytes as in IQ4_NL
struct IQ4_XS {
  static constexpr uint32_t kElements = 256, kBytes = 136;
  static void Decode(const uint8_t* block, float* out) {
    const float scale = Half(block);
    const auto high = Load<uint16_t>(block + 2);
    for (size_t group = 0; group < 8; ++group) {
      const int s = Nibble(block[4 + group / 2], group % 2) | TwoBits(high, group) << 4;
      const float group_scale = scale * static_cast<float>(s - 32);
      for (size_t i = 0; i < 32; ++i) {
        const auto level = static_cast<size_t>(NibbleOf32(block + 8 + 16 * group, i));
        out[32 * group + i] = group_scale * static_cast<float>(kLevels[level]);
      }
    }
  }
};

// ---- the table

template <class Format>
constexpr GgufType Entry(uint32_t id, const char* name) {
  return {id, name, Format::kElements, Format::kBytes,
          [](const uint8_t* blocks, size_t count, float* out) {
            for (size_t i = 0; i < count; ++i) {
              Format::Decode(blocks + i * Format::kBytes, out + i * Format::kElements);
            }
          }};
}

constexpr std::array<GgufType, 15> kTypes{
    {Entry<F32>(0, "F32"), Entry<F16>(1, "F16"), Entry<BF16>(30, "BF16"), Entry<Q4_0>(2, "Q4_0"),
     Entry<Q4_1>(3, "Q4_1"), Entry<Q5_0>(6, "Q5_0"), Entry<Q5_1>(7, "Q5_1"), Entry<Q8_0>(8, "Q8_0"),
     Entry<Q2_K>(10, "Q2_K"), Entry<Q3_K>(11, "Q3_K"), Entry<Q4_K>(12, "Q4_K"),
     Entry<Q5_K>(13, "Q5_K"), Entry<Q6_K>(14, "Q6_K"), Entry<IQ4_NL>(20, "IQ4_NL"),
     Entry<IQ4_XS>(23, "IQ4_XS")}};

// Named so that a message can say what a file holds.
constexpr std::array<std::pair<uint32_t, const char*>, 18> kUnsupported{{{9, "Q8_1"},
                                                                         {15, "Q8_K"},
                                                                         {16, "IQ2_XXS"},
                                                                         {17, "IQ2_XS"},
                                                                         {18, "IQ3_XXS"},
                                                                         {19, "IQ1_S"},
                                                                         {21, "IQ3_S"},
                                                                         {22, "IQ2_S"},
                                                                         {24, "I8"},
                                                                         {25, "I16"},
                                                                         {26, "I32"},
                                                                         {27, "I64"},
                                                                         {28, "F64"},
                                                                         {29, "IQ1_M"},
                                                                         {34, "TQ1_0"},
                                                                         {35, "TQ2_0"},
                                                                         {39, "MXFP4"},
                                                                         {40, "NVFP4"}}};

}  // namespace

std::span<const GgufType> GgufTypes() { return kTypes; }

const GgufType& GgufTypeOf(uint32_t id, const std::string& where) {
  std::vector<std::string> names;
  for (const GgufType& type : kTypes) {
    if (type.id == id) return type;
    names.emplace_back(type.name);
  }
  const auto named = std::find_if(kUnsupported.begin(), kUnsupported.end(),
                                  [&](const auto& pair) { return pair.first == id; });
  if (named != kUnsupported.end()) {
    throw MakeError<DataError>(
        "{}: type {} is not supported; supported: {}; quantise to one of them", where,
        named->second, Join(names, ", "));
  }
  throw MakeError<DataError>("{}: unknown type {}; supported: {}", where, id, Join(names, ", "));
}

}  // namespace condense
