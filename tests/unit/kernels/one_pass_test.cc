#include "kernels/one_pass.h"

#include <gtest/gtest.h>

namespace condense {
namespace {

bool Close(const Tensor& a, const Tensor& b) { return at::allclose(a, b, 1e-6, 1e-6); }

// Widths with and without a rest after whole vectors.
class OnePass : public ::testing::TestWithParam<int64_t> {
 protected:
  InferenceScope inference_;
};

TEST_P(OnePass, RmsNormEqualsItsDefinition) {
  const int64_t width = GetParam();
  const Tensor x = at::randn({3, 5, width}, kF32), weight = at::randn({width}, kF32);
  const Tensor scaled = x / (x.square().sum(-1, /*keepdim=*/true) / 7.0 + 1e-5).sqrt();
  EXPECT_TRUE(Close(RmsNormOnePass(x, {}, 7, 1e-5), scaled));
  EXPECT_TRUE(Close(RmsNormOnePass(x, weight, 7, 1e-5), scaled * weight));
}

TEST_P(OnePass, RotationEqualsComplexMultiplication) {
  const int64_t pairs = GetParam(), heads = 3, tokens = 5;
  // Heads as a block cuts them out of wider rows.
  const Tensor rows = at::randn({2, tokens, 2 + heads * 2 * pairs}, kF32);
  const Tensor x =
      rows.narrow(2, 2, heads * 2 * pairs).unflatten(2, {heads, 2 * pairs}).transpose(1, 2);
  const auto halves = x.chunk(2, -1);
  for (const auto& shape : {std::vector<int64_t>{tokens, pairs}, {heads, tokens, pairs}}) {
    const Tensor angle = at::randn(shape, kF32), cos = angle.cos(), sin = angle.sin();
    const Tensor turned = at::complex(halves[0], halves[1]).contiguous() * at::complex(cos, sin);
    EXPECT_TRUE(
        Close(RotateOnePass(x, cos, sin), at::cat({at::real(turned), at::imag(turned)}, -1)));
  }
}

TEST_P(OnePass, SiluTimesEqualsItsDefinition) {
  const Tensor gate = at::randn({5, GetParam()}, kF32) * 4, up = at::randn({5, GetParam()}, kF32);
  const Tensor expected = at::silu(gate) * up;
  SiluTimesOnePass(gate, up);
  EXPECT_TRUE(Close(gate, expected));
}

INSTANTIATE_TEST_SUITE_P(Widths, OnePass, ::testing::Values(1, 7, 16, 32, 75, 192));

TEST(OnePassApplies, OnlyWithoutGradientsInFloat32) {
  const Tensor x = at::randn({2, 4}, kF32);
  EXPECT_FALSE(OnePassApplies(x));  // gradients could be recorded
  const InferenceScope inference;
  EXPECT_TRUE(OnePassApplies(x));
  EXPECT_FALSE(OnePassApplies(x.to(kF64)));
  EXPECT_FALSE(OnePassApplies(x.t()));
}

}  // namespace
}  // namespace condense
