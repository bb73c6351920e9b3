#include "report/statistics/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "report/statistics/averaged_scores.h"
#include "report/statistics/statistics_selection.h"
#include "stats/means.h"

namespace condense {
namespace {

using Group = StatisticsRow::Group;
using Kind = Metric::Kind;

Interval Exp(const Interval& interval) { return {std::exp(interval.low), std::exp(interval.high)}; }

// The different runs behind an average.
std::string IdOf(const Cells& cells) {
  std::vector<std::string> ids;
  for (const Measurement* cell : cells) {
    if (std::find(ids.begin(), ids.end(), cell->id) == ids.end()) ids.push_back(cell->id);
  }
  return Join(ids, " ");
}

bool AreOfSameData(const AveragedScores& a, const AveragedScores& b) {
  return a.bases == b.bases &&
         std::equal(a.groups.begin(), a.groups.end(), b.groups.begin(), b.groups.end(),
                    [](const auto& one, const auto& other) { return one.size() == other.size(); });
}

// The references of the cells of a row, one for each.
struct References {
  std::string name;
  Cells cells;
};

class Reporter {
 public:
  Reporter(const StatisticsSelection& selection, StoredScores& scores)
      : selection_(selection), scores_(scores), averager_(scores) {}

  std::vector<StatisticsRow> Report(const Cells& cells) {
    std::vector<StatisticsRow> rows;
    // A cell that failed may have fewer values than the others.
    const Measurement& fullest = **std::max_element(cells.begin(), cells.end(),
                                                    [](const Measurement* a, const Measurement* b) {
                                                      return a->values.size() < b->values.size();
                                                    });
    const std::vector<References> references = ReferencesOf(cells);
    for (const Quantity& quantity : QuantitiesOf(fullest)) {
      if (const auto scores = averager_.Average(cells, quantity)) {
        rows.push_back(RowOf(quantity, *scores));
        for (const References& reference : references) {
          if (auto paired = Compare(quantity, cells, *scores, reference)) {
            rows.back().comparisons.push_back(*std::move(paired));
          }
        }
      } else if (!Averages() && !quantity.IsMean()) {
        rows.push_back(StoredRow(quantity));
      }
    }
    CorrectTests(rows);
    return rows;
  }

 private:
  // Whether rows are averages, even if there is only one cell to some of them.
  bool Averages() const { return !selection_.options().average.empty(); }

  std::vector<Quantity> QuantitiesOf(const Measurement& cell) const {
    std::vector<Quantity> quantities;
    for (const std::string& protocol : selection_.ProtocolsOf(cell)) {
      for (const MetricValue& value : cell.values) {
        if (value.protocol != protocol || !selection_.ReportsTask(cell, value)) continue;
        const bool perplexity = KindOf(value) == Kind::kTaskPerplexity;
        quantities.push_back({perplexity ? Group::kPerplexity : Group::kAccuracy,
                              protocol,
                              value.task,
                              value.metric,
                              {value}});
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
        const Kind kind = KindOf(value);
        if (kind != Kind::kTextPerplexity && kind != Kind::kAgreement) continue;
        quantities.push_back({kind == Kind::kAgreement ? Group::kAgreement : Group::kPerplexity,
                              protocol,
                              "",
                              value.metric,
                              {value}});
      }
    }
    return quantities;
  }

  // A reference that only some of the cells have is left out.
  std::vector<References> ReferencesOf(const Cells& cells) const {
    std::vector<References> references;
    for (const Reference& first : selection_.ReferencesOf(*cells.front())) {
      References of_all{first.name, {first.cell}};
      for (size_t c = 1; c < cells.size(); ++c) {
        const std::vector<Reference> own = selection_.ReferencesOf(*cells[c]);
        const auto same = std::find_if(own.begin(), own.end(), [&](const Reference& reference) {
          return reference.name == first.name;
        });
        if (same != own.end()) of_all.cells.push_back(same->cell);
      }
      if (of_all.cells.size() == cells.size()) references.push_back(std::move(of_all));
    }
    return references;
  }

  static StatisticsRow EmptyRow(const Quantity& quantity) {
    return {.group = quantity.group,
            .protocol = quantity.protocol,
            .task = quantity.task,
            .metric = quantity.metric};
  }

  // Where no scores are stored, or they tell nothing more: sums over pages of unequal length are
  // not resampled.
  static StatisticsRow StoredRow(const Quantity& quantity) {
    StatisticsRow row = EmptyRow(quantity);
    row.value = quantity.sources.front().value;
    row.standard_error = quantity.sources.front().standard_error;
    row.count = quantity.sources.front().count;
    return row;
  }

  StatisticsRow RowOf(const Quantity& quantity, const AveragedScores& scores) const {
    StatisticsRow row = EmptyRow(quantity);
    if (!quantity.IsMean()) row.count = static_cast<int64_t>(scores.groups[0].size());
    if (AreYesOrNo(quantity, scores)) {
      row.value = MeanOfMeans(scores.groups);
      row.standard_error = StandardErrorOfMeans(scores.groups);
      row.interval =
          WilsonInterval(std::round(row.value * static_cast<double>(*row.count)), *row.count);
      row.interval_method = "wilson";
      row.flags = scores.flags;
      return row;
    }
    const MeanEstimate estimate =
        Estimate(scores, scores.groups, Purpose(quantity, /*paired=*/false));
    const bool windows = scores.kind == ScoreSeries::Kind::kWindows;
    const bool perplexity = quantity.group == Group::kPerplexity;
    row.value = perplexity ? std::exp(estimate.mean) : estimate.mean;
    row.standard_error = estimate.standard_error;
    row.interval = perplexity ? Exp(estimate.interval) : estimate.interval;
    row.interval_method = windows ? "block bootstrap" : "bootstrap";
    if (windows && !Averages()) {
      // As stored: a mean over all positions, of which windows may have unequal numbers.
      const MetricValue& stored = quantity.sources.front();
      row.value = stored.value;
      row.count = stored.count;
      row.standard_error = stored.standard_error;
    }
    if (perplexity) {
      row.nll = estimate.mean;
      row.standard_error = row.value * estimate.standard_error;  // by the delta method
    }
    return row;
  }

  // None where the references lack scores of it or, of an average, have them of other data.
  std::optional<PairedStatistics> Compare(const Quantity& quantity, const Cells& cells,
                                          const AveragedScores& scores,
                                          const References& reference) {
    const Measurement &cell = *cells.front(), &other_cell = *reference.cells.front();
    // Of its agreement with itself the dense model has no value.
    if (quantity.group == Group::kAgreement && other_cell.dense) return std::nullopt;
    const bool windows = scores.kind == ScoreSeries::Kind::kWindows;
    // Another model's tokenizer makes other windows.
    if (windows && !Averages() && !AgreesIn({"model"}, cell, other_cell)) return std::nullopt;
    const auto other = averager_.Average(reference.cells, quantity);
    if (!other) return std::nullopt;
    if (!AreOfSameData(*other, scores)) {
      if (!Averages()) RefuseOtherData(quantity, {reference.name, cell.id}, other_cell, cell);
      return std::nullopt;
    }
    const ScoreGroups differences = Differences(other->groups, scores.groups);
    const std::string purpose = Purpose(quantity, /*paired=*/true);
    const MeanEstimate estimate = Estimate(scores, differences, purpose);
    PairedStatistics paired{.against = reference.name,
                            .id = IdOf(reference.cells),
                            .difference = estimate.mean,
                            .standard_error = estimate.standard_error,
                            .interval = estimate.interval};
    if (!Averages() && quantity.IsMean()) {  // of the values as they are printed
      paired.difference = MeanOfMeans(scores.groups) - MeanOfMeans(other->groups);
    }
    if (!Averages() && scores.kind == ScoreSeries::Kind::kDocumentLosses) {
      // The same bootstrap with other random numbers, which earlier results were printed with.
      paired.interval = BlockBootstrapMean(
          differences[0], /*block=*/1, {.draws = selection_.options().draws, .purpose = purpose});
    }
    if (AreYesOrNo(quantity, scores)) {
      paired.test = McNemarTest(other->groups[0], scores.groups[0]);
    }
    if (quantity.group == Group::kPerplexity) {
      paired.ratio = std::exp(paired.difference);
      paired.ratio_interval = Exp(paired.interval);
    }
    if (quantity.group == Group::kAccuracy && other_cell.dense) {
      const double value = MeanOfMeans(scores.groups), dense = MeanOfMeans(other->groups);
      paired.retention = Retention(value, dense);
      paired.retention_above_chance =
          ChanceCorrectedRetention(value, dense, MeanOf(scores.chances));
    }
    return paired;
  }

  // Averages over cells are no longer 0 or 1, nor are means over tasks.
  bool AreYesOrNo(const Quantity& quantity, const AveragedScores& scores) const {
    return !Averages() && !quantity.IsMean() && scores.kind == ScoreSeries::Kind::kOutcomes;
  }

  MeanEstimate Estimate(const AveragedScores& scores, const ScoreGroups& groups,
                        const std::string& purpose) const {
    const bool windows = scores.kind == ScoreSeries::Kind::kWindows;
    return EstimateMean(groups, windows ? Resampling::kWindows : Resampling::kDocuments,
                        {.draws = selection_.options().draws, .purpose = purpose});
  }

  // Names the random numbers of a bootstrap, and so is part of its result (protocols.md 2.8).
  std::string Purpose(const Quantity& quantity, bool paired) const {
    const char* suffix = paired ? " paired" : "";
    if (Averages()) return fmt::format("bootstrap {} {}{}", quantity.task, quantity.metric, suffix);
    if (quantity.IsMean()) return fmt::format("bootstrap {}{}", quantity.task, suffix);
    if (!quantity.task.empty()) {
      return fmt::format("bootstrap {} {}", quantity.task, quantity.metric);
    }
    if (paired) return "block bootstrap " + quantity.protocol;
    if (quantity.group == Group::kPerplexity) return "bootstrap perplexity";
    return fmt::format("block bootstrap {} {}", quantity.protocol, quantity.metric);
  }

  // Throws with what differs.
  void RefuseOtherData(const Quantity& quantity, const ComparedNames& names,
                       const Measurement& reference, const Measurement& cell) {
    for (const MetricValue& source : quantity.sources) {
      if (source.task.empty()) {
        const std::string series = DescribeMetric(source.metric, source.unit).series;
        RequireComparable(scores_.Windows(reference.id, source.protocol, series).value(),
                          scores_.Windows(cell.id, source.protocol, series).value(), names);
      } else {
        RequireComparable(scores_.Task(reference.id, source.protocol, source.task).value(),
                          scores_.Task(cell.id, source.protocol, source.task).value(), names);
      }
    }
  }

  // Holm's correction over the tasks that are reported together: with the same protocol, reference
  // and, where metrics were asked for, metric.
  void CorrectTests(std::vector<StatisticsRow>& rows) const {
    std::map<std::vector<std::string>, std::vector<PairedStatistics*>> families;
    for (StatisticsRow& row : rows) {
      const std::string metric = selection_.options().metrics.empty() ? "" : row.metric;
      for (PairedStatistics& paired : row.comparisons) {
        if (paired.test) families[{row.protocol, metric, paired.id}].push_back(&paired);
      }
    }
    for (auto& [family, tests] : families) {
      std::vector<double> p;
      for (const PairedStatistics* paired : tests) p.push_back(paired->test->p);
      const std::vector<double> adjusted = HolmAdjusted(p);
      for (size_t i = 0; i < tests.size(); ++i) tests[i]->holm_p = adjusted[i];
    }
  }

  const StatisticsSelection& selection_;
  StoredScores& scores_;
  ScoreAverager averager_;
};

// Cells that differ in the keys averaged over alone, in the order of the first of each.
std::vector<Cells> GroupsOf(const std::vector<Measurement>& measurements,
                            const std::vector<std::string>& over) {
  std::vector<Cells> groups;
  std::map<std::map<std::string, std::string>, size_t> places;
  for (const Measurement& cell : measurements) {
    auto keys = cell.keys;
    for (const std::string& key : over) keys.erase(key);
    if (over.empty()) keys["id"] = cell.id;
    const auto [place, is_new] = places.emplace(std::move(keys), groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(&cell);
  }
  return groups;
}

std::map<std::string, std::string> KeysOf(const Cells& cells,
                                          const std::vector<std::string>& over) {
  std::map<std::string, std::string> keys = cells.front()->keys;
  for (const std::string& key : over) {
    std::set<std::string> values;
    for (const Measurement* cell : cells) {
      const auto found = cell->keys.find(key);
      if (found != cell->keys.end()) values.insert(found->second);
    }
    if (values.size() > 1) keys[key] = fmt::format("mean of {}", values.size());
  }
  return keys;
}

}  // namespace

std::vector<CellStatistics> ComputeStatistics(const std::vector<Measurement>& measurements,
                                              StoredScores& scores,
                                              const StatisticsOptions& options) {
  const std::vector<std::string> known = {"seed", "calibration", "ratio", "model", "dtype"};
  for (const std::string& key : options.average) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw MakeError<ConfigError>("cannot average over '{}'{}", key, SuggestName(key, known));
  }
  const StatisticsSelection selection(measurements, options);
  Reporter reporter(selection, scores);
  std::vector<CellStatistics> statistics;
  for (const Cells& cells : GroupsOf(measurements, options.average)) {
    if (!selection.ReportsCell(*cells.front())) continue;
    statistics.push_back({IdOf(cells), KeysOf(cells, options.average), reporter.Report(cells)});
  }
  return statistics;
}

}  // namespace condense
