// Intervals and tests over scores (protocols.md 1.2, 2.8, 3.3, 3.8). Plain arithmetic in float64;
// values must be finite.
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

struct Estimate {
  double mean = 0;
  double half_interval = 0;  // half of the 95% t-interval; 0 for one value
};
// Over seeds (protocols.md 2.8). `values` must not be empty.
Estimate MeanWithInterval(const std::vector<double>& values);
// Quantile 0.975 of Student's t distribution with `degrees` >= 1 degrees of freedom.
double StudentQuantile975(int degrees);

// Wilson's 95 % interval of `successes` of `count`, z = 1.959964.
Interval WilsonInterval(double successes, int64_t count);

// Exact two-sided McNemar test of paired 0/1 outcomes.
struct McNemar {
  int64_t lost = 0;    // the reference is right, the other wrong
  int64_t gained = 0;  // the reverse
  double p = 1;        // 1 when nothing differs
};
double McNemarP(int64_t lost, int64_t gained);
// Pairs in the same order, each value 0 or 1.
McNemar McNemarTest(std::span<const double> reference, std::span<const double> other);
// Holm's correction, in the order given.
std::vector<double> HolmAdjusted(std::span<const double> p);

struct BootstrapOptions {
  int64_t draws = 10000;
  uint64_t seed = 0;
  std::string_view purpose;  // names the random stream (protocols.md 2.8): "bootstrap mean5"
  double coverage = 0.95;
};
// Percentile interval for the mean of the means of groups; documents are resampled within each
// group. One group gives the interval of its mean. Differences of paired outcomes give a paired
// bootstrap. Every group has its own random stream, so the result does not depend on threads, and
// the draws of a group do not depend on later groups. No group may be empty.
Interval BootstrapMeanOfMeans(std::span<const std::vector<double>> groups,
                              const BootstrapOptions& options);
// Circular moving-block bootstrap for the mean of a correlated series (losses of neighbouring
// windows). `block` 0: round(n^(1/3)), at least 1; a block of 1 is the ordinary bootstrap.
Interval BlockBootstrapMean(std::span<const double> series, int64_t block,
                            const BootstrapOptions& options);

}  // namespace condense
