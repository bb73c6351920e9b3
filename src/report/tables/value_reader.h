// Reads the values of one column of a table, and makes sure that they are comparable: one protocol,
// the same data, whole tasks or equal parts of them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/statistics/scores.h"
#include "report/tables/table.h"

namespace condense {

struct ReadValue {
  double value = 0;
  std::optional<double> standard_error;
  std::vector<const MetricValue*> sources;  // one, or one per task of a mean
};

class ValueReader {
 public:
  // All must outlive the reader; `scores` may be null.
  ValueReader(const TableSpec& spec, const ValueColumn& column,
              const std::vector<Measurement>& measurements, ScoreSource* scores)
      : spec_(spec), column_(column), measurements_(measurements), scores_(scores) {}

  // The value as it is compared and printed; none if it was not measured or has no dense reference.
  // ConfigError if it is not comparable with those read before.
  std::optional<ReadValue> Read(const Measurement& measurement);
  // Why a mean is missing although some of its tasks were measured; else empty.
  std::string WhyMissing(const Measurement& measurement) const;

  const std::string& protocol() const { return protocol_; }  // of what was read
  std::string Heading() const;

 private:
  std::optional<ReadValue> ReadRaw(const Measurement& measurement);
  std::optional<ReadValue> ReadMean(const Measurement& measurement);
  std::optional<double> ChanceOf(const Measurement& measurement, const ReadValue& value) const;
  bool Selects(const MetricValue& value) const;
  bool HasProtocol(const MetricValue& value) const;
  void RequireComparable(const MetricValue& value, const Measurement& measurement);
  void RequireSameBasis(const MetricValue& value, const Measurement& measurement);
  const Measurement* DenseOf(const Measurement& measurement) const;

  const TableSpec& spec_;
  const ValueColumn& column_;
  const std::vector<Measurement>& measurements_;
  ScoreSource* scores_;
  std::string protocol_, task_;
  const Measurement* example_ = nullptr;  // the first one read
  std::map<std::string, std::pair<std::string, const Measurement*>> bases_;
};

}  // namespace condense
