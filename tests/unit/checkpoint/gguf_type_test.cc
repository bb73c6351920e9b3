// Decoding of GGUF's number formats, against the gguf package (tests/golden/gguf/make.py).
#include "checkpoint/gguf/gguf_type.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "checkpoint/json.h"
#include "support/shared_data.h"
#include "unit/checkpoint/raw_files.h"

namespace condense {
namespace {

// The generator of make.py: splitmix64.
std::vector<uint8_t> RandomBytes(uint64_t seed, size_t count) {
  std::vector<uint8_t> bytes(count);
  for (size_t begin = 0; begin < count; begin += 8) {
    seed += 0x9E3779B97F4A7C15;
    uint64_t z = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    std::memcpy(bytes.data() + begin, &z, std::min<size_t>(8, count - begin));
  }
  return bytes;
}

std::vector<uint8_t> RandomBlocks(const nlohmann::json& golden, const GgufType& type) {
  const auto blocks = golden.at("blocks").get<size_t>();
  auto bytes = RandomBytes(golden.at("seed").get<uint64_t>(), blocks * type.block_bytes);
  for (size_t block = 0; block < blocks; ++block) {
    for (const auto& high : golden.at("high_bytes")) {
      bytes[block * type.block_bytes + high.get<size_t>()] &= 0xBF;
    }
  }
  return bytes;
}

std::vector<float> Decode(const GgufType& type, const std::vector<uint8_t>& bytes) {
  const size_t blocks = bytes.size() / type.block_bytes;
  std::vector<float> values(blocks * type.block_elements);
  type.decode(bytes.data(), blocks, values.data());
  return values;
}

TEST(GgufType, DecodesRandomBlocksBitForBitAsTheReferenceDoes) {
  const auto goldens = ReadJson(GoldenFile("gguf/blocks.json")).at("formats");
  EXPECT_EQ(goldens.size(), GgufTypes().size());
  for (const auto& golden : goldens) {
    SCOPED_TRACE(golden.at("name").get<std::string>());
    const GgufType& type = GgufTypeOf(golden.at("id").get<uint32_t>(), "test");
    EXPECT_EQ(type.name, golden.at("name").get<std::string>());
    ASSERT_EQ(type.block_elements, golden.at("block_elements").get<uint32_t>());
    ASSERT_EQ(type.block_bytes, golden.at("block_bytes").get<uint32_t>());
    const std::vector<float> values = Decode(type, RandomBlocks(golden, type));
    const auto first = golden.at("first").get<std::vector<double>>();
    for (size_t i = 0; i < first.size(); ++i) EXPECT_EQ(values[i], first[i]) << i;
    const auto* bytes = reinterpret_cast<const char*>(values.data());
    EXPECT_EQ(Sha256Hex({bytes, values.size() * sizeof(float)}),
              golden.at("sha256").get<std::string>());
  }
}

TEST(GgufType, DecodesBlocksThatAreNotAligned) {
  for (const GgufType& type : GgufTypes()) {
    const std::vector<uint8_t> zeros(type.block_bytes + 1);
    std::vector<float> values(type.block_elements, 1.0F);
    type.decode(zeros.data() + 1, 1, values.data());
    EXPECT_EQ(values, std::vector<float>(type.block_elements)) << type.name;
  }
}

TEST(GgufType, KeepsWhatIsNotFinite) {
  for (const GgufType& type : GgufTypes()) {
    const std::vector<uint8_t> ones(type.block_bytes, 0xff);  // every scale is not a number
    for (const float value : Decode(type, ones)) EXPECT_NE(value, value) << type.name;
  }
}

TEST(GgufType, IsRefusedWithItsNameWhereItIsNotSupported) {
  EXPECT_THAT([] { GgufTypeOf(16, "a.gguf: tensor 'x'"); },
              FailsWith("a.gguf: tensor 'x'", "IQ2_XXS", "not supported", "IQ4_XS"));
  EXPECT_THAT([] { GgufTypeOf(4, "x"); }, FailsWith("unknown type 4", "Q4_K"));
  EXPECT_THAT([] { GgufTypeOf(0xffffffff, "x"); }, FailsWith("unknown type 4294967295"));
}

}  // namespace
}  // namespace condense
