// Tests of paired outcomes, and the correction for multiple tests (protocols.md 3.8).
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "stats/intervals.h"

namespace condense {
namespace {

// C(n, m) / 2^n, as a fraction and a power of two: for thousands of trials it may be far below the
// smallest double, and intermediate products far above the largest. Only products and quotients are
// used, so the result is the same on every machine. Its relative error is about m roundings.
double BinomialTerm(int64_t n, int64_t m) {
  double fraction = 1;
  int64_t exponent = -n;
  for (int64_t i = 1; i <= m; ++i) {
    int shift = 0;
    fraction =
        std::frexp(fraction * static_cast<double>(n - m + i) / static_cast<double>(i), &shift);
    exponent += shift;
  }
  return std::ldexp(fraction, static_cast<int>(std::max<int64_t>(exponent, -100000)));
}

}  // namespace

double McNemarP(int64_t lost, int64_t gained) {
  CONDENSE_CHECK(lost >= 0 && gained >= 0, "{} lost, {} gained", lost, gained);
  const int64_t n = lost + gained, m = std::min(lost, gained);
  if (lost == gained) return 1;
  // sum_{k <= m} C(n, k) / C(n, m), from the largest term down: C(n, k-1) = C(n, k) k / (n-k+1).
  double term = 1, sum = 0;
  for (int64_t k = m; k >= 0 && term > 0; --k) {
    sum += term;
    term *= static_cast<double>(k) / static_cast<double>(n - k + 1);
  }
  return std::min(1.0, 2 * sum * BinomialTerm(n, m));
}

McNemar McNemarTest(std::span<const double> reference, std::span<const double> other) {
  CONDENSE_CHECK(reference.size() == other.size(), "{} outcomes paired with {}", reference.size(),
                 other.size());
  McNemar test;
  for (size_t i = 0; i < reference.size(); ++i) {
    if (reference[i] > other[i]) ++test.lost;
    if (reference[i] < other[i]) ++test.gained;
  }
  test.p = McNemarP(test.lost, test.gained);
  return test;
}

std::vector<double> HolmAdjusted(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const double scaled = static_cast<double>(p.size() - rank) * p[order[rank]];
    largest = std::max(largest, std::min(1.0, scaled));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

}  // namespace condense
