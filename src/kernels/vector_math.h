// Pieces of loops that compilers turn into vector instructions by themselves.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace condense {

// The function is compiled for wider vectors too, and the widest that the machine has is chosen
// when the program starts. Helpers that such a function calls have to be inlined into it.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define CONDENSE_WIDE_VECTORS \
  __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define CONDENSE_WIDE_VECTORS
#endif
#define CONDENSE_INLINE inline __attribute__((always_inline))

// e^x for x <= 0, to one unit in the last place or two; what is not a number stays that. Below -87,
// where it would be subnormal, e^-87.
//   e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2, e^r by its Taylor polynomial of degree 7.
CONDENSE_INLINE float ExpOfNegative(float x) {
  x = x < -87.0f ? -87.0f : x;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float y = 1.0f / 5040;
  y = y * r + 1.0f / 720;
  y = y * r + 1.0f / 120;
  y = y * r + 1.0f / 24;
  y = y * r + 1.0f / 6;
  y = y * r + 0.5f;
  y = y * r + 1.0f;
  y = y * r + 1.0f;
  const uint32_t power = (std::bit_cast<uint32_t>(shifted) << 23) + 0x3F800000u;
  return y * std::bit_cast<float>(power);
}

// 1 / x for 1 <= x <= 2, to one unit in the last place or two: a division takes vector units longer
// than this. Newton's iteration from a parabola whose relative error is 1/99.
CONDENSE_INLINE float ReciprocalOfOneToTwo(float x) {
  float y = (0.32323232f * x - 1.45454545f) * x + 2.12121212f;
  y = y + y * (1.0f - x * y);
  return y + y * (1.0f - x * y);
}

// x / (1 + e^-x). Choosing between values that are there already leaves loops free of branches.
CONDENSE_INLINE float Silu(float x) {
  const float e = ExpOfNegative(-std::fabs(x));
  return x * (x < 0 ? e : 1.0f) * ReciprocalOfOneToTwo(1.0f + e);
}

}  // namespace condense
