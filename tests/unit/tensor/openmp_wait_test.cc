#include "tensor/openmp_wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace condense {
namespace {

// The test program starts itself again as every other does, unless the environment already says
// how to wait, as ctest's does.
TEST(OpenMpWaiting, IsLimitedInEveryProgramThatAsks) {
  EXPECT_THAT(OpenMpWaiting(), testing::ContainsRegex("GOMP_SPINCOUNT=[0-9]+|OMP_WAIT_POLICY="));
}

}  // namespace
}  // namespace condense
