// What rotary pairs add to logits, against its definition.
#include "kernels/pair_terms.h"

#include <gtest/gtest.h>

namespace condense {
namespace {

TEST(CentredPairTerms, InOnePassEqualTheComposedFormAndTheDefinition) {
  const at::AutoGradMode inference(false);
  at::manual_seed(2);
  constexpr int64_t kItems = 3, kQueries = 5, kPairs = 4, kTokens = 37, kSeen = 29;
  const Tensor q = at::randn({kItems, kQueries, 2 * kPairs}, kF64);
  const Tensor k = at::randn({kItems, 2 * kPairs, kTokens}, kF64);
  const Tensor mean = at::randn({kItems, kQueries, 2 * kPairs}, kF64);
  const Tensor root = at::rand({kItems, kQueries, kSeen}, kF64);
  const Tensor composed = CentredPairTerms(q, k, mean, root);
  ASSERT_EQ(composed.sizes(), (at::IntArrayRef{kItems, 2 * kPairs, kQueries, kSeen}));
  for (int64_t j = 0; j < kPairs; ++j) {
    const Tensor q1 = q.select(2, j).unsqueeze(2), q2 = q.select(2, j + kPairs).unsqueeze(2);
    const Tensor k1 = k.select(1, j).narrow(1, 0, kSeen).unsqueeze(1),
                 k2 = k.select(1, j + kPairs).narrow(1, 0, kSeen).unsqueeze(1);
    const auto expect = [&](const Tensor& term, int64_t column) {
      const Tensor expected = (term - mean.select(2, column).unsqueeze(2)) * root;
      EXPECT_TRUE(at::allclose(composed.select(1, column), expected, 1e-12, 1e-12));
    };
    expect(q1 * k1 + q2 * k2, j);
    expect(q1 * k2 - q2 * k1, j + kPairs);
  }
  const Tensor single = CentredPairTerms(q.to(kF32), k.to(kF32), mean.to(kF32), root.to(kF32));
  EXPECT_EQ(single.scalar_type(), kF32);
  EXPECT_TRUE(at::allclose(single.to(kF64), composed, 1e-5, 1e-5));
}

}  // namespace
}  // namespace condense
