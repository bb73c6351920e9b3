// Which values `runner stats` reports for a cell, and which cells it compares the cell with.
#pragma once

#include <string>
#include <vector>

#include "report/statistics/statistics.h"

namespace condense {

struct Reference {
  std::string name;  // "dense", the baseline's method, or the first characters of an id
  const Measurement* cell = nullptr;
};

class StatisticsSelection {
 public:
  // Both must outlive this. ConfigError for names that no measurement has.
  StatisticsSelection(const std::vector<Measurement>& measurements,
                      const StatisticsOptions& options);

  const StatisticsOptions& options() const { return options_; }

  bool ReportsCell(const Measurement& cell) const;
  std::vector<std::string> ProtocolsOf(const Measurement& cell) const;
  std::vector<Reference> ReferencesOf(const Measurement& cell) const;
  bool ReportsTask(const Measurement& cell, const MetricValue& value) const;
  bool ReportsMean(const std::string& id) const;
  bool ReportsText(const MetricValue& value) const;  // perplexity, agreement

 private:
  const std::vector<Measurement>& measurements_;
  const StatisticsOptions& options_;
};

// As in the catalogue; for an unknown metric, what follows from its protocol and task.
Metric::Kind KindOf(const MetricValue& value);
// Whether two cells have the same value of each of these keys, where both have it.
bool AgreesIn(const std::vector<std::string>& keys, const Measurement& a, const Measurement& b);

}  // namespace condense
