#include "base/phases.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace condense {
namespace {

void Pass(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

TEST(PhaseClock, PhasesAddUpToTheWhole) {
  const Stopwatch watch;
  PhaseClock clock("solve");
  Pass(20);
  {
    const PhaseClock::Scope statistics(&clock, "statistics");
    Pass(20);
    const PhaseClock::Scope save(&clock, "save");
    Pass(5);
  }
  Pass(20);
  const auto uses = clock.Uses();
  double sum = 0;
  for (const auto& [phase, use] : uses) sum += use.seconds;
  EXPECT_NEAR(sum, watch.Seconds(), 1e-3);
  ASSERT_EQ(uses.size(), 3u);
  EXPECT_GE(uses.at("solve").seconds, 0.040);
  EXPECT_GE(uses.at("statistics").seconds, 0.020);
  EXPECT_LT(uses.at("save").seconds, uses.at("solve").seconds);
}

TEST(PhaseClock, APeakBelongsToThePhaseThatHadIt) {
  PhaseClock clock("small");
  {
    const PhaseClock::Scope large(&clock, "large");
    std::vector<char> bytes(size_t{64} << 20, 'x');
    EXPECT_EQ(bytes[bytes.size() / 2], 'x');
  }
  const auto uses = clock.Uses();
  if (uses.at("large").peak_bytes == 0) GTEST_SKIP() << "the kernel keeps no peak to be reset";
  EXPECT_GE(uses.at("large").peak_bytes, uses.at("small").peak_bytes + (uint64_t{48} << 20));
  EXPECT_EQ(PeakBytesOf(uses), uses.at("large").peak_bytes);
}

TEST(PhaseClock, AScopeWithoutAClockDoesNothing) { const PhaseClock::Scope scope(nullptr, "x"); }

}  // namespace
}  // namespace condense
