#include "tensor/openmp_wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// This test program starts itself again, unless the environment already says how to wait, as
// ctest's does.
CONDENSE_LIMIT_OPENMP_WAITING();

namespace condense {
namespace {

#ifndef __SANITIZE_ADDRESS__
TEST(OpenMpWaiting, IsLimitedInAProgramThatAsks) {
  EXPECT_THAT(OpenMpWaiting(), testing::ContainsRegex("GOMP_SPINCOUNT=[0-9]+|OMP_WAIT_POLICY="));
}
#endif

// A setting of the user's is left alone: the call returns, and this process goes on.
TEST(OpenMpWaiting, LeavesAnExistingSettingAlone) {
  for (const char* setting : {"GOMP_SPINCOUNT=7", "OMP_WAIT_POLICY=passive"}) {
    std::string text = setting;
    char* environment[] = {text.data(), nullptr};
    char* arguments[] = {nullptr};
    LimitOpenMpWaiting(0, arguments, environment);
  }
}

}  // namespace
}  // namespace condense
