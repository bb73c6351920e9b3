// A perplexity protocol of whatever family on a model, as named values: for callers that store or
// print what comes out and do not care which family it was.
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

// Raw material, one number a window or page.
struct ProtocolSeries {
  std::string name;
  std::vector<double> values;
};

struct ProtocolMeasurement {
  std::vector<ProtocolValue> values;  // the first is the one that tables print
  std::vector<ProtocolSeries> series;
  int64_t count = 0;  // windows or pages
  std::string ids_sha256;
  double seconds = 0;
  std::variant<PerplexityResult, RollingResult> result;
};

// The errors of EvaluatePerplexity and EvaluateRolling.
ProtocolMeasurement EvaluateProtocol(const ModelSource& model, const ProtocolText& text);
// Names of all values that any family gives.
std::vector<std::string> ProtocolValueNames();

}  // namespace condense
