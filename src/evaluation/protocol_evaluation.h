// Evaluates a perplexity protocol of any family, as named values, for callers that store or print
// results and treat all families alike.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "data/protocols/protocol_text.h"
#include "evaluation/perplexity.h"
#include "evaluation/rolling.h"

namespace condense {

struct ProtocolValue {
  std::string name;  // "perplexity", "word_perplexity", ...
  double value = 0;
  std::string unit;  // "", "nats", "bits", "count"
  std::optional<double> standard_error;
  std::optional<Interval> interval;  // 95 %
};

// Raw values, one per window or page.
struct ProtocolSeries {
  std::string name;
  std::vector<double> values;
};

struct ProtocolMeasurement {
  std::vector<ProtocolValue> values;  // tables print the first
  std::vector<ProtocolSeries> series;
  int64_t count = 0;  // windows or pages
  std::string ids_sha256;
  double seconds = 0;
  std::variant<PerplexityResult, RollingResult> result;
};

// The errors of EvaluatePerplexity and EvaluateRolling.
ProtocolMeasurement EvaluateProtocol(const ModelSource& model, const ProtocolText& text);
// Names of the values of all families.
std::vector<std::string> ProtocolValueNames();

}  // namespace condense
