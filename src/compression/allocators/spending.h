// Spends a budget where it does least damage: minimises the sum of convex curves under one linear
// constraint (condense.md 3). Knows nothing of models.
#pragma once

#include <vector>

namespace condense {

// Damage as a function of what is taken from one place: piecewise linear between points. Begins at
// {0, 0}.
struct DamageCurve {
  double cost = 1;  // of taking all, in units of the budget
  std::vector<double> taken, damage;
};

// The lower convex hull of the damage, which is made monotone first: removing more does not help,
// so that a point below an earlier one is noise. Returns the points on the hull only.
DamageCurve ConvexHull(const DamageCurve& curve);

// The same curve with `steps` points for each: between two points the damage is taken to run as a
// power of what is taken, before the first as the power that follows it (1 to 4), and on a line
// where damage does not rise. With lines instead, a budget would always end at a point and never
// between.
DamageCurve PowersBetween(const DamageCurve& curve, int steps);

// What to take from each curve so that sum cost x taken equals the budget and the damage on the
// convex hulls is least. Steps are taken in the order of their slopes, equal slopes in proportion,
// so that more budget takes more everywhere, and at most the places of one slope end between
// points. An internal error if the budget exceeds what the curves reach.
std::vector<double> SpendByEqualSlope(const std::vector<DamageCurve>& curves, double budget);

}  // namespace condense
