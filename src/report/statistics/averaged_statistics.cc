#include "report/statistics/averaged_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "report/statistics/statistics_selection.h"
#include "stats/means.h"

namespace condense {
namespace {

using Group = StatisticsRow::Group;
using Cells = std::vector<const Measurement*>;
using Values = std::vector<std::vector<double>>;  // of documents or windows, a group for each task

// A row of the report: one metric, or the mean of several tasks.
struct Quantity {
  Group group = Group::kAccuracy;
  std::string protocol, task, metric;
  std::vector<MetricValue> sources;
};

// Averages over cells.
struct Averaged {
  ScoreSeries::Kind kind = ScoreSeries::Kind::kOutcomes;
  std::vector<std::string> bases;
  Values values;
  double chance = 0;  // of guessing
};

struct Estimated {
  double mean = 0, standard_error = 0;
  Interval interval;
};

double StandardError(const Values& values) {
  double squares = 0;
  for (const auto& group : values) squares += std::pow(StandardErrorOfMean(group), 2);
  return std::sqrt(squares) / static_cast<double>(values.size());
}

double MeanOfMeans(const Values& values) {
  double sum = 0;
  for (const auto& group : values) sum += MeanOf(group);
  return sum / static_cast<double>(values.size());
}

// The different runs behind an average.
std::string IdOf(const Cells& cells) {
  std::vector<std::string> ids;
  for (const Measurement* cell : cells) {
    if (std::find(ids.begin(), ids.end(), cell->id) == ids.end()) ids.push_back(cell->id);
  }
  return Join(ids, " ");
}

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

class AverageReporter {
 public:
  AverageReporter(const StatisticsSelection& selection, ScoreSource& scores)
      : selection_(selection), scores_(scores) {}

  std::vector<StatisticsRow> Report(const Cells& cells) {
    std::vector<StatisticsRow> rows;
    // A cell that failed may have fewer values than the others.
    const Measurement& fullest = **std::max_element(cells.begin(), cells.end(),
                                                    [](const Measurement* a, const Measurement* b) {
                                                      return a->values.size() < b->values.size();
                                                    });
    for (const Quantity& quantity : QuantitiesOf(fullest)) {
      const auto averaged = Average(cells, quantity);
      if (!averaged) continue;
      rows.push_back(RowOf(quantity, *averaged));
      for (const auto& [name, references] : ReferencesOf(cells)) {
        // Of its agreement with itself the dense model has no value.
        if (quantity.group == Group::kAgreement && references.front()->dense) continue;
        const auto other = Average(references, quantity);
        if (!other || other->bases != averaged->bases) continue;
        rows.back().comparisons.push_back(Compare(quantity, name, references, *other, *averaged));
      }
    }
    return rows;
  }

 private:
  std::vector<Quantity> QuantitiesOf(const Measurement& cell) const {
    std::vector<Quantity> quantities;
    for (const std::string& protocol : selection_.ProtocolsOf(cell)) {
      for (const MetricValue& value : cell.values) {
        if (value.protocol != protocol || !selection_.ReportsTask(cell, value)) continue;
        const bool ppl = KindOf(value) == Metric::Kind::kTaskPerplexity;
        const Group group = ppl ? Group::kPerplexity : Group::kAccuracy;
        quantities.push_back({group, protocol, value.task, value.metric, {value}});
      }
      for (const NamedMean& mean : NamedMeans()) {
        if (!selection_.ReportsMean(mean.id)) continue;
        Quantity quantity{Group::kAccuracy, protocol, mean.id, MeanMetric().name, {}};
        for (const MeanTerm& term : mean.terms) {
          quantity.sources.push_back(
              {.metric = StoredName(term.metric), .protocol = protocol, .task = term.task});
        }
        quantities.push_back(std::move(quantity));
      }
      for (const MetricValue& value : cell.values) {
        if (value.protocol != protocol || !selection_.ReportsText(value)) continue;
        const Metric::Kind kind = KindOf(value);
        const bool agreement = kind == Metric::Kind::kAgreement;
        if (!agreement && kind != Metric::Kind::kTextPerplexity) continue;
        const Group group = agreement ? Group::kAgreement : Group::kPerplexity;
        quantities.push_back({group, protocol, "", value.metric, {value}});
      }
    }
    return quantities;
  }

  // The cells that an average is compared with, one for each of its own. A name that only some of
  // them have is left out.
  std::vector<std::pair<std::string, Cells>> ReferencesOf(const Cells& cells) const {
    std::vector<std::pair<std::string, Cells>> references;
    for (const Reference& first : selection_.ReferencesOf(*cells.front())) {
      Cells of_all;
      for (const Measurement* cell : cells) {
        const std::vector<Reference> own = selection_.ReferencesOf(*cell);
        const auto same = std::find_if(own.begin(), own.end(), [&](const Reference& reference) {
          return reference.name == first.name;
        });
        if (same != own.end()) of_all.push_back(same->cell);
      }
      if (of_all.size() == cells.size()) references.emplace_back(first.name, std::move(of_all));
    }
    return references;
  }

  std::optional<ScoreSeries> SeriesOf(const Measurement& cell, const MetricValue& source) {
    const auto value =
        std::find_if(cell.values.begin(), cell.values.end(), [&](const MetricValue& other) {
          return other.protocol == source.protocol && other.task == source.task &&
                 other.metric == source.metric;
        });
    if (value == cell.values.end()) return std::nullopt;
    return scores_.Find(cell.id, *value);
  }

  // None where a cell has no scores, or has them of other documents or windows.
  std::optional<Averaged> Average(const Cells& cells, const Quantity& quantity) {
    const auto exists = [](const std::optional<ScoreSeries>& series) { return series.has_value(); };
    std::vector<std::vector<std::optional<ScoreSeries>>> sources;
    for (const MetricValue& source : quantity.sources) {
      sources.emplace_back();
      for (const Measurement* cell : cells) sources.back().push_back(SeriesOf(*cell, source));
      // What none of them has is not missed.
      if (std::none_of(sources.back().begin(), sources.back().end(), exists)) return std::nullopt;
    }
    Averaged sum;
    for (const auto& all : sources) {
      const auto first = std::find_if(all.begin(), all.end(), exists);
      std::vector<double> values((*first)->values.size(), 0);
      for (size_t c = 0; c < all.size(); ++c) {
        if (!all[c]) {
          WarnOnce(quantity, *cells[c], "has no scores of it");
          return std::nullopt;
        }
        if (all[c]->basis != (*first)->basis || all[c]->values.size() != values.size()) {
          WarnOnce(quantity, *cells[c],
                   fmt::format("was scored on other data than {}", Describe(*cells.front())));
          return std::nullopt;
        }
        for (size_t i = 0; i < values.size(); ++i) values[i] += all[c]->values[i];
      }
      for (double& value : values) value /= static_cast<double>(cells.size());
      sum.kind = (*first)->kind;
      sum.bases.push_back((*first)->basis);
      sum.values.push_back(std::move(values));
      sum.chance += (*first)->chance / static_cast<double>(quantity.sources.size());
    }
    return sum;
  }

  void WarnOnce(const Quantity& quantity, const Measurement& cell, const std::string& why) {
    const std::string what =
        fmt::format("{}{}{} under {}", quantity.metric, quantity.task.empty() ? "" : " of ",
                    quantity.task, quantity.protocol);
    if (!warned_.insert(what).second) return;
    LogWarning("no average of {}: {} {}", what, Describe(cell), why);
  }

  Estimated Estimate(const Quantity& quantity, const Averaged& averaged,
                     const std::string& purpose) const {
    const BootstrapOptions options{.draws = selection_.options().draws, .purpose = purpose};
    const Values& values = averaged.values;
    const bool windows = averaged.kind == ScoreSeries::Kind::kWindows;
    CONDENSE_CHECK(!windows || values.size() == 1, "{} series of {}", values.size(),
                   quantity.metric);
    return {MeanOfMeans(values), StandardError(values),
            windows ? BlockBootstrapMean(values[0], 0, options)
                    : BootstrapMeanOfMeans(values, options)};
  }

  StatisticsRow RowOf(const Quantity& quantity, const Averaged& averaged) const {
    const Estimated estimated = Estimate(
        quantity, averaged, fmt::format("bootstrap {} {}", quantity.task, quantity.metric));
    StatisticsRow row{.group = quantity.group,
                      .protocol = quantity.protocol,
                      .task = quantity.task,
                      .metric = quantity.metric,
                      .value = estimated.mean,
                      .standard_error = estimated.standard_error,
                      .interval = estimated.interval};
    row.interval_method =
        averaged.kind == ScoreSeries::Kind::kWindows ? "block bootstrap" : "bootstrap";
    if (averaged.values.size() == 1) row.count = static_cast<int64_t>(averaged.values[0].size());
    if (quantity.group != Group::kPerplexity) return row;
    row.nll = estimated.mean;
    row.value = std::exp(estimated.mean);
    row.standard_error = row.value * estimated.standard_error;
    row.interval = {std::exp(estimated.interval.low), std::exp(estimated.interval.high)};
    return row;
  }

  PairedStatistics Compare(const Quantity& quantity, const std::string& name,
                           const Cells& references, const Averaged& reference,
                           const Averaged& other) const {
    Averaged differences = other;
    for (size_t g = 0; g < differences.values.size(); ++g) {
      for (size_t i = 0; i < differences.values[g].size(); ++i) {
        differences.values[g][i] -= reference.values[g][i];
      }
    }
    const Estimated estimated =
        Estimate(quantity, differences,
                 fmt::format("bootstrap {} {} paired", quantity.task, quantity.metric));
    PairedStatistics paired{.against = name,
                            .id = IdOf(references),
                            .difference = estimated.mean,
                            .standard_error = estimated.standard_error,
                            .interval = estimated.interval};
    if (quantity.group == Group::kPerplexity) {
      paired.ratio = std::exp(estimated.mean);
      paired.ratio_interval = {std::exp(estimated.interval.low), std::exp(estimated.interval.high)};
    }
    if (quantity.group == Group::kAccuracy && references.front()->dense) {
      const double value = MeanOfMeans(other.values), dense = MeanOfMeans(reference.values);
      paired.retention = Retention(value, dense);
      paired.retention_above_chance = ChanceCorrectedRetention(value, dense, other.chance);
    }
    return paired;
  }

  const StatisticsSelection& selection_;
  ScoreSource& scores_;
  std::set<std::string> warned_;
};

// Cells that differ in the keys averaged over alone, in the order of the first of each.
std::vector<Cells> GroupsOf(const std::vector<Measurement>& measurements,
                            const std::vector<std::string>& over) {
  std::vector<Cells> groups;
  std::map<std::map<std::string, std::string>, size_t> places;
  for (const Measurement& cell : measurements) {
    auto keys = cell.keys;
    for (const std::string& key : over) keys.erase(key);
    const auto [place, is_new] = places.emplace(std::move(keys), groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(&cell);
  }
  return groups;
}

Measurement AverageOf(const Cells& cells, const std::vector<std::string>& over) {
  Measurement average = *cells.front();
  average.id = IdOf(cells);
  average.values.clear();
  for (const std::string& key : over) {
    std::set<std::string> values;
    for (const Measurement* cell : cells) {
      const auto found = cell->keys.find(key);
      if (found != cell->keys.end()) values.insert(found->second);
    }
    if (values.size() > 1) average.keys[key] = fmt::format("mean of {}", values.size());
  }
  return average;
}

}  // namespace

AveragedStatistics ComputeAveragedStatistics(const std::vector<Measurement>& measurements,
                                             ScoreSource& scores, const StatisticsOptions& options,
                                             const std::vector<std::string>& over) {
  const std::vector<std::string> known = {"seed", "calibration", "ratio", "model", "dtype"};
  for (const std::string& key : over) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw MakeError<ConfigError>("cannot average over '{}'{}", key, SuggestName(key, known));
  }
  const StatisticsSelection selection(measurements, options);
  AverageReporter reporter(selection, scores);
  const std::vector<Cells> groups = GroupsOf(measurements, over);
  AveragedStatistics result;
  for (const Cells& cells : groups) result.cells.push_back(AverageOf(cells, over));
  for (size_t i = 0; i < groups.size(); ++i) {
    result.statistics.push_back({&result.cells[i], reporter.Report(groups[i])});
  }
  return result;
}

}  // namespace condense
