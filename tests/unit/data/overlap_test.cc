#include "data/overlap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "unit/data/error_text.h"

namespace condense {
namespace {

using ::testing::HasSubstr;

TEST(ShingleOverlap, FindsTheSharedRun) {
  std::vector<TokenId> evaluation(300), sequence(100);
  for (int i = 0; i < 300; ++i) evaluation[i] = i * 7 % 1000;
  for (int i = 0; i < 100; ++i) sequence[i] = 5000 + i;
  std::copy_n(evaluation.begin() + 200, 65, sequence.begin() + 10);
  const Overlap overlap = ShingleOverlap({{1, 2}, sequence}, evaluation);
  EXPECT_EQ(overlap.shingles, 2);
  EXPECT_EQ(overlap.sequence, 1);
  EXPECT_EQ(overlap.sequence_offset, 10);
  EXPECT_EQ(overlap.evaluation_offset, 200);
}

TEST(ShingleOverlap, AllowsSharedRunsThatAreShorter) {
  std::vector<TokenId> evaluation(300), sequence(100);
  for (int i = 0; i < 300; ++i) evaluation[i] = i;
  for (int i = 0; i < 100; ++i) sequence[i] = 5000 + i;
  std::copy_n(evaluation.begin() + 200, 63, sequence.begin() + 10);
  EXPECT_EQ(ShingleOverlap({sequence}, evaluation).shingles, 0);
  EXPECT_EQ(ShingleOverlap({sequence}, evaluation, 63).shingles, 1);
}

TEST(ShingleOverlap, IsAnErrorThatSaysWhere) {
  CalibrationSet set;
  set.id = "set";
  set.sequences = {std::vector<TokenId>(64, 3)};
  const std::vector<TokenId> evaluation(70, 3);
  EXPECT_THAT(
      ErrorText<DataError>([&] { RequireNoOverlap(set, evaluation, "protocol"); }),
      HasSubstr(
          "calibration set contains text that protocol measures: they share 7 runs of 64 ids"));
  EXPECT_NO_THROW(RequireNoOverlap(set, std::vector<TokenId>(70, 4), "protocol"));
}

}  // namespace
}  // namespace condense
