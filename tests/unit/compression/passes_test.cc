// How often a method runs the dense model over the calibration set.
#include <gtest/gtest.h>

#include "unit/compression/compressed_models.h"

namespace condense {
namespace {

TEST(DensePasses, NoMethodMakesMoreThanOneForItsPlanAndItsStatistics) {
  const InferenceScope inference;
  const auto allocator = MakeComponent<Allocator>("block_influence");
  for (const std::string& name : Registry<Compressor>::Instance().Names()) {
    TinyModel tiny;
    const auto method = Method(name);
    CompressWith(tiny.statistics, name, 0.3, *allocator);
    EXPECT_LE(tiny.statistics.passes(), 1) << name;
    EXPECT_GE(tiny.statistics.passes(), method->UsesAllocator() ? 1 : 0) << name;
  }
}

}  // namespace
}  // namespace condense
