// The catalogue of metrics: what tables, figures, statistics and the checks of YAML know about a
// stored number besides its value. The file that computes or stores a metric registers it, outside
// of any function:
//
//   const Metric& kPerplexity = RegisterMetric({.name = "perplexity", .label = "perplexity", ...});
//
// No other file has to change.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace condense {

struct NumberFormat {
  enum class Style {
    kFixed,        // `digits` decimals
    kPercent,      // 100 times the value, `digits` decimals, no sign
    kRatio,        // the same with a percent sign
    kInteger,      // grouped in thousands
    kBytes,        // "1.50 GiB"
    kSignificant,  // `digits` significant digits
  };
  Style style = Style::kSignificant;
  int digits = 4;
  bool huge_is_capped = false;  // above a million prints as ">1e6"
  bool operator==(const NumberFormat&) const = default;
};

enum class Better { kLower, kHigher, kNeither };

struct Metric {
  enum class Kind {
    kOther,
    kTaskAccuracy,    // of a task, from 0 to 1
    kTaskPerplexity,  // of a task
    kTextPerplexity,  // of a text
    kAgreement,       // with the dense model on a text
    kModule,          // of a module of a layer
  };
  std::string name;  // as stored; "*-seconds" describes every name with this ending
  std::string unit;  // as stored: "fraction", "count", "bytes", "s", "nats", "bits" or ""
  NumberFormat format;
  Better better = Better::kNeither;
  std::string label;  // of an axis, without the unit; "*" stands for the same text as in the name
  // Name of the samples behind it, one per window of the text: the value is their mean, or the
  // exponential of their mean. Empty where there are none.
  std::string series;
  Kind kind = Kind::kOther;
  bool operator==(const Metric&) const = default;
};

// Adds a metric to the catalogue; the reference stays valid. Two files may register the same metric
// if they agree in every field. A missing name or label, and a disagreement, are broken contracts.
const Metric& RegisterMetric(Metric metric);

// By its stored name, else by the longest ending that describes it, with the "*" replaced. None for
// a metric that this program does not store.
std::optional<Metric> FindMetric(std::string_view name);
// The same; for a metric that this program does not store, what follows from its unit.
Metric DescribeMetric(std::string_view name, std::string_view unit);

// Sorted, without those that only an ending describes.
std::vector<std::string> MetricNames();
std::vector<std::string> MetricNames(Metric::Kind kind);

}  // namespace condense
