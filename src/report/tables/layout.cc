#include "report/tables/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

void RequireKnownKeys(const TableSpec& spec, const std::vector<Measurement>& measurements) {
  std::set<std::string> known;
  for (const Measurement& measurement : measurements) {
    for (const auto& [key, value] : measurement.keys) known.insert(key);
  }
  const std::vector<std::string> names(known.begin(), known.end());
  for (const auto* list : {&spec.rows, &spec.columns}) {
    for (const std::string& key : *list) {
      if (measurements.empty() || known.contains(key)) continue;
      throw MakeError<ConfigError>("{} '{}': no cell has the key '{}'{}", spec.noun, spec.title,
                                   key, SuggestName(key, names));
    }
  }
  for (const std::string& key : spec.compare) {
    if (Contains(spec.rows, key)) continue;
    throw MakeError<ConfigError>("{} '{}': compare: '{}' is not one of the row keys ({})",
                                 spec.noun, spec.title, key, Join(spec.rows, ", "));
  }
}

Keys RowOf(const TableSpec& spec, const Measurement& measurement) {
  Keys row;
  for (const std::string& key : spec.rows) row.push_back(KeyOf(measurement, key));
  return row;
}

// Empty where one of the column keys does not apply: the dense column.
Keys ColumnOf(const TableSpec& spec, const Measurement& measurement) {
  Keys column;
  for (const std::string& key : spec.columns) {
    const std::string value = KeyOf(measurement, key);
    if (value.empty()) return {};
    column.push_back(value);
  }
  return column;
}

// Sorted by one key after another, each in the order in which its values first occur.
std::vector<Keys> InOrderOfAppearance(const std::vector<Keys>& tuples, size_t width) {
  std::vector<std::map<std::string, size_t>> ranks(width);
  std::vector<Keys> distinct;
  for (const Keys& tuple : tuples) {
    for (size_t i = 0; i < tuple.size(); ++i) ranks[i].emplace(tuple[i], ranks[i].size());
    if (std::find(distinct.begin(), distinct.end(), tuple) == distinct.end()) {
      distinct.push_back(tuple);
    }
  }
  std::stable_sort(distinct.begin(), distinct.end(), [&](const Keys& a, const Keys& b) {
    if (a.empty() || b.empty()) return a.empty() && !b.empty();  // the dense column comes first
    for (size_t i = 0; i < width; ++i) {
      if (a[i] != b[i]) return ranks[i].at(a[i]) < ranks[i].at(b[i]);
    }
    return false;
  });
  return distinct;
}

// Two measurements may share a place only if nothing but their seeds differs.
void RequireSeedsOnly(const TableSpec& spec, const Measurement& a, const Measurement& b) {
  Keys differing;
  std::set<std::string> all;
  for (const auto* measurement : {&a, &b}) {
    for (const auto& [key, value] : measurement->keys) all.insert(key);
  }
  for (const std::string& key : all) {
    if (KeyOf(a, key) != KeyOf(b, key)) differing.push_back(key);
  }
  if (differing == Keys{"seed"}) return;
  if (differing.empty()) {
    throw MakeError<ConfigError>("{} '{}': the cell {} occurs twice ({} and {})", spec.noun,
                                 spec.title, DescribePlace(spec, a), a.id, b.id);
  }
  differing.erase(std::remove(differing.begin(), differing.end(), "seed"), differing.end());
  const std::string& key = differing.front();
  throw MakeError<ConfigError>(
      "{} '{}': two cells fall on {}: one with {}={}, one with {}={}; add '{}' to the rows or "
      "columns, or give the two different labels",
      spec.noun, spec.title, DescribePlace(spec, a), key, KeyOf(a, key), key, KeyOf(b, key), key);
}

}  // namespace

std::string DescribePlace(const TableSpec& spec, const Measurement& measurement) {
  std::vector<std::string> parts;
  for (const auto* list : {&spec.rows, &spec.columns}) {
    for (const std::string& key : *list) {
      const std::string value = KeyOf(measurement, key);
      if (!value.empty()) parts.push_back(fmt::format("{}={}", key, value));
    }
  }
  return Join(parts, ", ");
}

std::string ShownKey(const TableSpec& spec, const std::string& key, const std::string& value) {
  const auto label = spec.labels.find(value);
  if (label != spec.labels.end()) return label->second;
  double ratio = 0;
  const char* end = value.data() + value.size();
  if (key == "ratio" && !value.empty() && std::from_chars(value.data(), end, ratio).ptr == end) {
    return fmt::format("{:.6g}%", 100 * ratio);
  }
  int64_t count = 0;
  if (key == "calibration_tokens" && !value.empty() &&
      std::from_chars(value.data(), end, count).ptr == end) {
    return GroupThousands(count);
  }
  return value;
}

Layout ArrangeMeasurements(const TableSpec& spec, const std::vector<Measurement>& measurements) {
  RequireKnownKeys(spec, measurements);
  std::vector<Keys> rows, columns;
  for (const Measurement& measurement : measurements) {
    rows.push_back(RowOf(spec, measurement));
    columns.push_back(ColumnOf(spec, measurement));
  }
  Layout layout;
  layout.rows = InOrderOfAppearance(rows, spec.rows.size());
  layout.columns = InOrderOfAppearance(columns, spec.columns.size());
  layout.places.assign(layout.rows.size(),
                       std::vector<std::vector<const Measurement*>>(layout.columns.size()));
  const auto index = [](const std::vector<Keys>& list, const Keys& keys) {
    return static_cast<size_t>(std::find(list.begin(), list.end(), keys) - list.begin());
  };
  for (size_t i = 0; i < measurements.size(); ++i) {
    auto& place = layout.places[index(layout.rows, rows[i])][index(layout.columns, columns[i])];
    for (const Measurement* other : place) RequireSeedsOnly(spec, *other, measurements[i]);
    place.push_back(&measurements[i]);
  }
  return layout;
}

std::vector<std::string> CheckUniformKeys(const TableSpec& spec,
                                          const std::vector<Measurement>& measurements) {
  std::vector<std::string> notes;
  for (const std::string& key : spec.uniform) {
    if (Contains(spec.rows, key) || Contains(spec.columns, key)) continue;
    const Measurement* first = nullptr;
    for (const Measurement& measurement : measurements) {
      const std::string value = KeyOf(measurement, key);
      if (value.empty()) continue;
      if (first == nullptr) {
        first = &measurement;
        notes.push_back(fmt::format("{}: {}", key, value));
      } else if (KeyOf(*first, key) != value) {
        throw MakeError<ConfigError>(
            "{} '{}' would mix two values of {}: '{}' (cell {}) and '{}' (cell {}); make it a row "
            "or column key, or make two tables",
            spec.noun, spec.title, key, KeyOf(*first, key), DescribePlace(spec, *first), value,
            DescribePlace(spec, measurement));
      }
    }
  }
  return notes;
}

}  // namespace condense
