#include "report/tables/best.h"

#include <algorithm>

namespace condense {
namespace {

// A row whose cell competes for the best mark.
struct Competitor {
  size_t row = 0;
  TableCell* cell = nullptr;
};

Keys ComparedKeys(const TableSpec& spec) {
  if (!spec.compare.empty()) return spec.compare;
  const bool by_method = std::find(spec.rows.begin(), spec.rows.end(), "method") != spec.rows.end();
  return {by_method ? "method" : spec.rows.back()};
}

std::map<Keys, std::vector<Competitor>> GroupsOf(const BestSearch& search, size_t column,
                                                 Table& table) {
  const TableSpec& spec = search.spec;
  const Keys compare = ComparedKeys(spec);
  std::map<Keys, std::vector<Competitor>> groups;
  for (size_t r = 0; r < table.rows.size(); ++r) {
    TableCell& cell = table.rows[r].cells[column];
    if (cell.state != TableCell::State::kValue) continue;
    if (search.layout.places[r][search.layout_column].front()->dense) continue;
    Keys group;
    for (size_t i = 0; i < spec.rows.size(); ++i) {
      const bool compared =
          std::find(compare.begin(), compare.end(), spec.rows[i]) != compare.end();
      if (!compared) group.push_back(table.rows[r].keys[i]);
    }
    groups[group].push_back({r, &cell});
  }
  return groups;
}

void AddValues(const ScoreSeries& more, ScoreSeries& sum) {
  for (size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += more.values[i];
}

// The scores behind a cell, averaged over its seeds; empty if any of them are not stored.
std::vector<ScoreSeries> ScoresOf(const BestSearch& search, const Competitor& competitor) {
  std::vector<ScoreSeries> scores;
  double seeds = 0;
  for (const Measurement* measurement :
       search.layout.places[competitor.row][search.layout_column]) {
    const auto read = search.reader.Read(*measurement);
    if (!read) continue;
    for (size_t i = 0; i < read->sources.size(); ++i) {
      auto series = search.scores->Find(measurement->id, *read->sources[i]);
      if (!series) return {};
      if (seeds == 0) {
        scores.push_back(std::move(*series));
      } else if (series->values.size() == scores[i].values.size()) {
        AddValues(*series, scores[i]);
      } else {
        return {};
      }
    }
    ++seeds;
  }
  for (ScoreSeries& series : scores) {
    for (double& value : series.values) value /= seeds;
  }
  return scores;
}

}  // namespace

bool MarkBest(const BestSearch& search, size_t column, Table& table) {
  if (search.spec.best == TableSpec::Best::kNone || search.better == Better::kNeither) return false;
  bool noise_decided = false;
  for (auto& [group, cells] : GroupsOf(search, column, table)) {
    if (cells.size() < 2) continue;
    const Competitor best =
        *std::min_element(cells.begin(), cells.end(), [&](const auto& a, const auto& b) {
          return search.better == Better::kLower ? a.cell->value < b.cell->value
                                                 : a.cell->value > b.cell->value;
        });
    std::vector<ScoreSeries> best_scores;
    if (search.scores != nullptr) best_scores = ScoresOf(search, best);
    for (const Competitor& other : cells) {
      other.cell->best = other.cell->text == best.cell->text;
      if (other.cell->best || best_scores.empty()) continue;
      other.cell->best = WithinPairedNoise(best_scores, ScoresOf(search, other));
      noise_decided = noise_decided || other.cell->best;
    }
  }
  return noise_decided;
}

}  // namespace condense
