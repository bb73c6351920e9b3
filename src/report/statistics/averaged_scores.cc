#include "report/statistics/averaged_scores.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace condense {
namespace {

// "llama2-mini modegpt 0.3 seed 1"
std::string Describe(const Measurement& cell) {
  std::vector<std::string> parts;
  for (const char* key : {"model", "method", "ratio", "calibration"}) {
    const auto found = cell.keys.find(key);
    if (found != cell.keys.end()) parts.push_back(found->second);
  }
  const auto seed = cell.keys.find("seed");
  if (seed != cell.keys.end()) parts.push_back("seed " + seed->second);
  return Join(parts, " ");
}

}  // namespace

// The scores are those of the task or text, whichever of its metrics the cell has.
std::optional<ScoreSeries> ScoreAverager::SeriesOf(const Measurement& cell,
                                                   const MetricValue& source) {
  const auto value =
      std::find_if(cell.values.begin(), cell.values.end(), [&](const MetricValue& other) {
        return other.protocol == source.protocol && other.task == source.task &&
               !other.basis.empty();
      });
  if (value == cell.values.end()) return std::nullopt;
  MetricValue wanted = *value;
  wanted.metric = source.metric;
  wanted.unit = source.unit;
  return scores_.Find(cell.id, wanted);
}

std::optional<AveragedScores> ScoreAverager::Average(const Cells& cells, const Quantity& quantity) {
  const auto exists = [](const std::optional<ScoreSeries>& series) { return series.has_value(); };
  std::vector<std::vector<std::optional<ScoreSeries>>> sources;
  for (const MetricValue& source : quantity.sources) {
    sources.emplace_back();
    for (const Measurement* cell : cells) sources.back().push_back(SeriesOf(*cell, source));
    // What none of them has is not missed.
    if (std::none_of(sources.back().begin(), sources.back().end(), exists)) return std::nullopt;
  }
  AveragedScores average;
  for (const auto& all : sources) {
    const ScoreSeries& first = **std::find_if(all.begin(), all.end(), exists);
    std::vector<double> values(first.values.size(), 0);
    for (size_t c = 0; c < all.size(); ++c) {
      if (!all[c]) {
        WarnOnce(quantity, *cells[c], "has no scores of it");
        return std::nullopt;
      }
      if (all[c]->basis != first.basis || all[c]->values.size() != values.size()) {
        WarnOnce(quantity, *cells[c],
                 fmt::format("was scored on other data than {}", Describe(*cells.front())));
        return std::nullopt;
      }
      for (size_t i = 0; i < values.size(); ++i) values[i] += all[c]->values[i];
    }
    for (double& value : values) value /= static_cast<double>(cells.size());
    average.kind = first.kind;
    average.flags = first.flags;
    average.bases.push_back(first.basis);
    average.groups.push_back(std::move(values));
    average.chances.push_back(first.chance);
  }
  return average;
}

void ScoreAverager::WarnOnce(const Quantity& quantity, const Measurement& cell,
                             const std::string& why) {
  const std::string what =
      fmt::format("{}{}{} under {}", quantity.metric, quantity.task.empty() ? "" : " of ",
                  quantity.task, quantity.protocol);
  if (!warned_.insert(what).second) return;
  LogWarning("no average of {}: {} {}", what, Describe(cell), why);
}

}  // namespace condense
