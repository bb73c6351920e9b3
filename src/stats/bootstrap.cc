// Bootstrap intervals (protocols.md 3.8) with the project's generator (2.8, 10.4).
//
// A resample of n documents is n independent uniform indices. The mean of a group depends only on
// how often each *value* is drawn, so where outcomes take few values (0/1; -1/0/1 for differences)
// no indices are generated. With the values sorted, an index lies below k with probability k/n. 64
// such events are decided together: random binary fractions are compared with the digits of k/n,
// one 64-bit word per digit, until all 64 differ from it. The distribution is exactly the same, the
// cost is about 8 words per 64 documents, and only integers are used, so the numbers are equal on
// every machine.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>

#include "base/error.h"
#include "base/random.h"
#include "stats/intervals.h"

namespace condense {
namespace {

constexpr size_t kFewValues = 4;

// Unbiased index below n (Lemire 2019); nearly always takes one word.
uint32_t IndexBelow(Random& random, uint32_t n) {
  uint64_t product = uint64_t{random.NextU32()} * n;
  if (static_cast<uint32_t>(product) < n) {
    const uint32_t rejected = (0u - n) % n;
    while (static_cast<uint32_t>(product) < rejected) product = uint64_t{random.NextU32()} * n;
  }
  return static_cast<uint32_t>(product >> 32);
}

// The binary digits of k/n after the point, each as a word of zeros or ones. 0 < k < n.
class Fraction {
 public:
  Fraction(uint64_t k, uint64_t n) : remainder_(k), n_(n) {}
  uint64_t Digit(size_t place) {
    while (digits_.size() <= place) {
      remainder_ *= 2;
      digits_.push_back(remainder_ >= n_ ? ~uint64_t{0} : 0);
      if (remainder_ >= n_) remainder_ -= n_;
    }
    return digits_[place];
  }

 private:
  uint64_t remainder_, n_;
  std::vector<uint64_t> digits_;
};

struct ValueCount {
  double value;
  uint64_t up_to;  // how many documents have this value or a smaller one
};

// The distinct values, ascending; empty if there are more than a few.
std::vector<ValueCount> FewValues(std::vector<double> outcomes) {
  std::sort(outcomes.begin(), outcomes.end());
  std::vector<ValueCount> values;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    if (values.empty() || values.back().value != outcomes[i]) values.push_back({outcomes[i], 0});
    if (values.size() > kFewValues) return {};
    values.back().up_to = i + 1;
  }
  return values;
}

// Sums of resamples of outcomes with few values.
class CountingResampler {
 public:
  explicit CountingResampler(std::vector<ValueCount> values)
      : values_(std::move(values)), n_(values_.back().up_to) {
    for (size_t i = 0; i + 1 < values_.size(); ++i) limits_.emplace_back(values_[i].up_to, n_);
  }

  double Sum(Random& random) {
    std::array<uint64_t, kFewValues> below{};  // drawn indices below each limit
    for (uint64_t drawn = 0; drawn < n_ && !limits_.empty(); drawn += 64) {
      const uint64_t lanes = n_ - drawn < 64 ? (uint64_t{1} << (n_ - drawn)) - 1 : ~uint64_t{0};
      AddLanes(random, lanes, below);
    }
    below[limits_.size()] = n_;
    double sum = 0;
    uint64_t counted = 0;
    for (size_t i = 0; i < values_.size(); ++i) {
      sum += values_[i].value * static_cast<double>(below[i] - counted);
      counted = below[i];
    }
    return sum;
  }

 private:
  // One index per bit of `lanes`. A fraction is below the limit if it has the 0 at the first digit
  // where they differ.
  void AddLanes(Random& random, uint64_t lanes, std::array<uint64_t, kFewValues>& below) {
    std::array<uint64_t, kFewValues> equal;
    equal.fill(lanes);
    uint64_t undecided = lanes;
    for (size_t place = 0; undecided != 0; ++place) {
      const uint64_t word = random.NextU64();
      undecided = 0;
      for (size_t i = 0; i < limits_.size(); ++i) {
        const uint64_t digit = limits_[i].Digit(place);
        below[i] += static_cast<uint64_t>(std::popcount(equal[i] & ~word & digit));
        equal[i] &= ~(word ^ digit);
        undecided |= equal[i];
      }
    }
  }

  std::vector<ValueCount> values_;
  uint64_t n_;
  std::vector<Fraction> limits_;
};

double SumOfIndices(std::span<const double> outcomes, Random& random) {
  const auto n = static_cast<uint32_t>(outcomes.size());
  double sum = 0;
  for (uint32_t i = 0; i < n; ++i) sum += outcomes[IndexBelow(random, n)];
  return sum;
}

void RequireUsable(std::span<const double> values, const BootstrapOptions& options) {
  CONDENSE_CHECK(!values.empty() && values.size() < UINT32_MAX, "a bootstrap of {} values",
                 values.size());
  CONDENSE_CHECK(options.draws > 0 && 0 < options.coverage && options.coverage < 1,
                 "{} draws, coverage {}", options.draws, options.coverage);
  for (const double value : values)
    CONDENSE_CHECK(std::isfinite(value), "a bootstrap of {}", value);
}

// Adds the mean of a resample to each draw.
void AddMeans(const std::vector<double>& outcomes, Random random, std::vector<double>& draws) {
  const auto n = static_cast<double>(outcomes.size());
  std::vector<ValueCount> values = FewValues(outcomes);
  if (values.empty()) {
    for (double& draw : draws) draw += SumOfIndices(outcomes, random) / n;
  } else {
    CountingResampler resampler(std::move(values));
    for (double& draw : draws) draw += resampler.Sum(random) / n;
  }
}

Interval PercentileInterval(std::vector<double> draws, double coverage) {
  std::sort(draws.begin(), draws.end());
  const double outside = (1 - coverage) / 2;
  return {Quantile(draws, outside), Quantile(draws, 1 - outside)};
}

// round(n^(1/3)), in integers: the largest b with (b - 1/2)^3 <= n.
int64_t UsualBlock(int64_t n) {
  int64_t block = 1;
  while ((2 * block + 1) * (2 * block + 1) * (2 * block + 1) <= 8 * n) ++block;
  return block;
}

}  // namespace

Interval BootstrapMeanOfMeans(std::span<const std::vector<double>> groups,
                              const BootstrapOptions& options) {
  CONDENSE_CHECK(!groups.empty(), "a bootstrap of nothing");
  const Random random(options.seed, options.purpose);
  for (const std::vector<double>& group : groups) RequireUsable(group, options);
  std::vector<double> draws(static_cast<size_t>(options.draws));
  for (size_t i = 0; i < groups.size(); ++i) {
    AddMeans(groups[i], random.Derive("group " + std::to_string(i)), draws);
  }
  for (double& draw : draws) draw /= static_cast<double>(groups.size());
  return PercentileInterval(std::move(draws), options.coverage);
}

Interval BlockBootstrapMean(std::span<const double> series, int64_t block,
                            const BootstrapOptions& options) {
  RequireUsable(series, options);
  const auto n = static_cast<int64_t>(series.size());
  CONDENSE_CHECK(block >= 0, "blocks of {}", block);
  const int64_t length = std::min(n, block == 0 ? UsualBlock(n) : block);
  // sums[i]: of the first i values of the series repeated twice, so that blocks can wrap around.
  std::vector<double> sums(static_cast<size_t>(2 * n) + 1);
  for (size_t i = 0; i + 1 < sums.size(); ++i) sums[i + 1] = sums[i] + series[i % series.size()];
  Random random(options.seed, options.purpose);
  std::vector<double> draws(static_cast<size_t>(options.draws));
  for (double& draw : draws) {
    double sum = 0;
    for (int64_t taken = 0; taken < n; taken += length) {
      const size_t start = IndexBelow(random, static_cast<uint32_t>(n));
      const auto size = static_cast<size_t>(std::min(length, n - taken));  // the last is cut
      sum += sums[start + size] - sums[start];
    }
    draw = sum / static_cast<double>(n);
  }
  return PercentileInterval(std::move(draws), options.coverage);
}

}  // namespace condense
