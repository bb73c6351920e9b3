#include "results/samples.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"

namespace condense {
namespace {

TEST(Samples, ComeBackBitForBit) {
  const std::vector<double> values = {0.1,
                                      -0.0,
                                      std::numeric_limits<double>::denorm_min(),
                                      std::numeric_limits<double>::infinity(),
                                      std::nextafter(1.0, 2.0),
                                      std::nan("7")};
  const SampleArray back = DecodeSamples(EncodeSamples({values, 3}), "here");
  const auto& read = std::get<std::vector<double>>(back.values);
  ASSERT_EQ(read.size(), values.size());
  EXPECT_EQ(back.columns, 3u);
  EXPECT_EQ(std::memcmp(read.data(), values.data(), values.size() * sizeof values[0]), 0);
}

TEST(Samples, KeepTheirType) {
  const std::vector<SampleArray> arrays = {
      {std::vector<float>{1.5f, -2.25f}, 1},
      {std::vector<int64_t>{INT64_MIN, 0, INT64_MAX}, 1},
      {std::vector<int32_t>{INT32_MIN, 7, INT32_MAX, 0}, 2},
      {std::vector<uint8_t>{0, 255}, 1},
      {std::vector<double>{}, 1},
  };
  for (const SampleArray& array : arrays) EXPECT_EQ(DecodeSamples(EncodeSamples(array), ""), array);
}

TEST(Samples, RefuseDamagedBytes) {
  const std::string good = EncodeSamples({std::vector<double>(100, 1.25), 1});
  std::string other_magic = good, other_type = good, lying_count = good;
  other_magic[0] = 'X';
  other_type[5] = 9;
  lying_count[16] = 101;
  const std::vector<std::string> damaged = {
      "", "CNSB", other_magic, other_type, lying_count, good.substr(0, good.size() - 3)};
  for (const std::string& bytes : damaged) EXPECT_THROW(DecodeSamples(bytes, "here"), DataError);
}

}  // namespace
}  // namespace condense
