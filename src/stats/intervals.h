// Intervals and tests over scores (protocols.md 1.2, 3.3, 3.8). Plain arithmetic in float64.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace condense {

struct Interval {
  double low = 0, high = 0;
  bool Contains(double x) const { return low <= x && x <= high; }
};

// Sample standard deviation / sqrt(n); 0 for fewer than two values.
double MeanOf(std::span<const double> values);
double StandardErrorOfMean(std::span<const double> values);
// Linear interpolation between order statistics, q in [0, 1]; `sorted` is ascending, not empty.
double Quantile(std::span<const double> sorted, double q);

// Wilson's 95 % interval of `successes` of `count`, z = 1.959964.
Interval WilsonInterval(double successes, int64_t count);

// Exact two-sided McNemar test of paired 0/1 outcomes.
struct McNemar {
  int64_t lost = 0;    // the reference is right, the other wrong
  int64_t gained = 0;  // the reverse
  double p = 1;        // 1 when nothing differs
};
double McNemarP(int64_t lost, int64_t gained);
McNemar McNemarTest(std::span<const double> reference, std::span<const double> other);
// Holm's correction, in the order given.
std::vector<double> HolmAdjusted(std::span<const double> p);

struct BootstrapOptions {
  int64_t draws = 10000;
  uint64_t seed = 0;
  std::string_view purpose;  // of the sub-seed (protocols.md 2.8), such as "bootstrap mean5"
  double coverage = 0.95;
};
// Percentile interval for the mean of the means of groups; documents are drawn anew within each.
// One group gives the interval of its mean. Differences of paired outcomes give a paired bootstrap.
Interval BootstrapMeanOfMeans(std::span<const std::vector<double>> groups,
                              const BootstrapOptions& options);
// Circular moving-block bootstrap for the mean of a correlated series (losses of neighbouring
// windows). `block` 0: round(n^(1/3)), at least 1.
Interval BlockBootstrapMean(std::span<const double> series, int64_t block,
                            const BootstrapOptions& options);

}  // namespace condense
