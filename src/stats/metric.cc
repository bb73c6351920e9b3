#include "stats/metric.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

using Catalogue = std::map<std::string, Metric, std::less<>>;

// Constructed by the first file that registers, whichever that is.
Catalogue& Registered() {
  static Catalogue catalogue;
  return catalogue;
}

bool IsPattern(const std::string& name) { return StartsWith(name, "*"); }

std::string WithStar(const std::string& text, std::string_view replacement) {
  const size_t star = text.find('*');
  return star == std::string::npos ? text : std::string(text).replace(star, 1, replacement);
}

NumberFormat FormatOfUnit(std::string_view unit) {
  using Style = NumberFormat::Style;
  if (unit == "fraction") return {Style::kRatio, 1};
  if (unit == "count") return {Style::kInteger, 0};
  if (unit == "bytes") return {Style::kBytes, 2};
  if (unit == "s") return {Style::kFixed, 1};
  if (unit == "nats" || unit == "bits") return {Style::kFixed, 4};
  return {};
}

}  // namespace

const Metric& RegisterMetric(Metric metric) {
  CONDENSE_CHECK(!metric.name.empty() && !metric.label.empty(),
                 "metric '{}' has no name or no label", metric.name);
  const std::string name = metric.name;
  const auto [place, is_new] = Registered().emplace(name, std::move(metric));
  CONDENSE_CHECK(is_new || place->second == metric, "metric '{}' is registered twice, differently",
                 name);
  return place->second;
}

std::optional<Metric> FindMetric(std::string_view name) {
  const Catalogue& catalogue = Registered();
  const auto exact = catalogue.find(name);
  if (exact != catalogue.end())
    return IsPattern(exact->first) ? std::nullopt : std::optional(exact->second);
  const Metric* longest = nullptr;
  for (const auto& [pattern, metric] : catalogue) {
    if (!IsPattern(pattern) || name.size() < pattern.size()) continue;
    if (!EndsWith(name, std::string_view(pattern).substr(1))) continue;
    if (longest == nullptr || pattern.size() > longest->name.size()) longest = &metric;
  }
  if (longest == nullptr) return std::nullopt;
  Metric metric = *longest;
  const std::string_view star = name.substr(0, name.size() + 1 - metric.name.size());
  metric.label = WithStar(metric.label, star);
  metric.name = name;
  return metric;
}

Metric DescribeMetric(std::string_view name, std::string_view unit) {
  if (auto known = FindMetric(name)) return *std::move(known);
  Metric metric{.name = std::string(name),
                .unit = std::string(unit),
                .format = FormatOfUnit(unit),
                .label = std::string(name)};
  std::replace_if(
      metric.label.begin(), metric.label.end(), [](char c) { return c == '_' || c == '-'; }, ' ');
  return metric;
}

std::vector<std::string> MetricNames() {
  std::vector<std::string> names;
  for (const auto& [name, metric] : Registered()) {
    if (!IsPattern(name)) names.push_back(name);
  }
  return names;
}

std::vector<std::string> MetricNames(Metric::Kind kind) {
  std::vector<std::string> names;
  for (const auto& [name, metric] : Registered()) {
    if (metric.kind == kind && !IsPattern(name)) names.push_back(name);
  }
  return names;
}

}  // namespace condense
