#include "compression/allocators/spending.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <optional>

#include "base/error.h"

namespace condense {

DamageCurve ConvexHull(const DamageCurve& curve) {
  DamageCurve hull{.cost = curve.cost, .taken = {}, .damage = {}};
  std::vector<double>&x = hull.taken, &y = hull.damage;
  double largest = 0;
  for (size_t i = 0; i < curve.taken.size(); ++i) {
    largest = std::max(largest, curve.damage[i]);
    // The last point goes while it lies on or above the line from the one before it to this one.
    while (x.size() >= 2) {
      const size_t n = x.size();
      const double rise = (y[n - 1] - y[n - 2]) * (curve.taken[i] - x[n - 2]);
      if (rise < (largest - y[n - 2]) * (x[n - 1] - x[n - 2])) break;
      x.pop_back();
      y.pop_back();
    }
    x.push_back(curve.taken[i]);
    y.push_back(largest);
  }
  return hull;
}

DamageCurve PowersBetween(const DamageCurve& curve, int steps) {
  const std::vector<double>&x = curve.taken, &y = curve.damage;
  // The power that leads from point i - 1 to point i.
  const auto power = [&](size_t i) -> std::optional<double> {
    if (!(y[i - 1] > 0 && y[i] > y[i - 1])) return std::nullopt;
    return std::log(y[i] / y[i - 1]) / std::log(x[i] / x[i - 1]);
  };
  DamageCurve fine{.cost = curve.cost, .taken = {0}, .damage = {0}};
  for (size_t i = 1; i < x.size(); ++i) {
    std::optional<double> exponent;
    if (i > 1) {
      exponent = power(i);
    } else {
      exponent = x.size() > 2 ? std::clamp(power(2).value_or(1), 1.0, 4.0) : 1;
    }
    for (int step = 1; step < steps; ++step) {
      const double part = static_cast<double>(step) / steps;
      const double at = x[i - 1] + part * (x[i] - x[i - 1]);
      fine.taken.push_back(at);
      fine.damage.push_back(exponent ? y[i] * std::pow(at / x[i], *exponent)
                                     : y[i - 1] + part * (y[i] - y[i - 1]));
    }
    fine.taken.push_back(x[i]);
    fine.damage.push_back(y[i]);
  }
  return fine;
}

namespace {

// From one point of a hull to the next.
struct Step {
  size_t curve = 0;
  double length = 0, cost = 0, slope = 0;  // damage for each unit of the budget
};

std::vector<Step> StepsOf(const std::vector<DamageCurve>& curves) {
  std::vector<Step> steps;
  for (size_t c = 0; c < curves.size(); ++c) {
    const DamageCurve hull = ConvexHull(curves[c]);
    for (size_t i = 1; i < hull.taken.size(); ++i) {
      const double length = hull.taken[i] - hull.taken[i - 1], cost = hull.cost * length;
      if (!(cost > 0)) continue;
      steps.push_back({.curve = c,
                       .length = length,
                       .cost = cost,
                       .slope = (hull.damage[i] - hull.damage[i - 1]) / cost});
    }
  }
  // Slopes ascend along a hull, so that its steps come in order.
  std::stable_sort(steps.begin(), steps.end(),
                   [](const Step& a, const Step& b) { return a.slope < b.slope; });
  return steps;
}

}  // namespace

std::vector<double> SpendByEqualSlope(const std::vector<DamageCurve>& curves, double budget) {
  const std::vector<Step> steps = StepsOf(curves);
  std::vector<double> taken(curves.size(), 0);
  double left = budget;
  for (auto first = steps.begin(); first != steps.end() && left > 0;) {
    const auto last = std::find_if(first, steps.end(),
                                   [&](const Step& step) { return step.slope > first->slope; });
    const double cost = std::accumulate(
        first, last, 0.0, [](double sum, const Step& step) { return sum + step.cost; });
    const double share = std::min(1.0, left / cost);
    for (; first != last; ++first) taken[first->curve] += share * first->length;
    left -= share * cost;
  }
  CONDENSE_CHECK(left <= 1e-12 * std::max(1.0, budget), "{} of {} cannot be spent", left, budget);
  return taken;
}

}  // namespace condense
