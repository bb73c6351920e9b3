#include "report/statistics/scores.h"

#include <algorithm>

#include "stats/intervals.h"

namespace condense {
namespace {

constexpr double kSignificant = 0.05;

bool CanBePaired(const std::vector<ScoreSeries>& a, const std::vector<ScoreSeries>& b) {
  if (a.size() != b.size() || a.empty()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].kind != b[i].kind || a[i].values.size() != b[i].values.size()) return false;
    if (a[i].values.empty() || a[i].basis != b[i].basis) return false;
  }
  return true;
}

// Averages over seeds are no longer 0 or 1.
bool AreYesOrNo(const ScoreSeries& series) {
  return series.kind == ScoreSeries::Kind::kOutcomes &&
         std::all_of(series.values.begin(), series.values.end(),
                     [](double value) { return value == 0 || value == 1; });
}

}  // namespace

std::string DescribeFlag(const std::string& flag) {
  if (flag == "majority_class") return "majority class: the answers hardly depend on the question";
  if (flag == "chance") return "chance: the 95% interval includes the accuracy of guessing";
  if (flag == "below_chance") {
    return "below chance: the 95% interval lies below the accuracy of guessing";
  }
  return flag;
}

bool WithinPairedNoise(const std::vector<ScoreSeries>& a, const std::vector<ScoreSeries>& b) {
  if (!CanBePaired(a, b)) return false;
  if (a.size() == 1 && AreYesOrNo(a[0]) && AreYesOrNo(b[0])) {
    return McNemarTest(a[0].values, b[0].values).p > kSignificant;
  }
  std::vector<std::vector<double>> differences;
  for (size_t i = 0; i < a.size(); ++i) {
    differences.emplace_back();
    for (size_t k = 0; k < a[i].values.size(); ++k) {
      differences[i].push_back(a[i].values[k] - b[i].values[k]);
    }
  }
  if (a.size() == 1 && a[0].kind == ScoreSeries::Kind::kWindows) {
    return BlockBootstrapMean(differences[0], 0, {.purpose = "table block bootstrap"}).Contains(0);
  }
  return BootstrapMeanOfMeans(differences, {.purpose = "table bootstrap"}).Contains(0);
}

}  // namespace condense
