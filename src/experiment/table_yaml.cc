#include "experiment/table_yaml.h"

#include <algorithm>

#include "experiment/cell_records.h"

namespace condense {
namespace {

const std::vector<std::string>& TableKeys() {
  static const std::vector<std::string> keys = {"model",       "method", "ratio", "ratio_kind",
                                                "calibration", "seed",   "dtype", "params"};
  return keys;
}

struct ColumnOptions {
  std::string metric, protocol, task, heading;
  bool relative = false;
  std::optional<int> decimals;

  template <class V>
  void Fields(V&& field) {
    field("metric", metric, "name of a stored metric", Required{}, NonEmpty{});
    field("protocol", protocol, "where several protocols are evaluated", NonEmpty{});
    field("task", task, "of metrics that belong to tasks", NonEmpty{});
    field("heading", heading, "of the column", NonEmpty{});
    field("relative", relative, "divided by the value of the dense model");
    field("decimals", decimals, "printed digits after the point", Range(0, 12));
  }
};

void CheckKeys(const Node& at, const char* key, const std::vector<std::string>& names,
               Problems& problems) {
  for (size_t i = 0; i < names.size(); ++i) {
    const auto& known = TableKeys();
    if (std::find(known.begin(), known.end(), names[i]) != known.end()) continue;
    problems.Add(at.Find(key)->items()[i],
                 fmt::format("unknown table key '{}'{}", names[i], SuggestName(names[i], known)));
  }
}

void CheckMetric(const Node& at, const std::string& name, Problems& problems) {
  if (IsMetricName(name)) return;
  problems.Add(at, fmt::format("unknown metric '{}'{}", name, SuggestName(name, MetricNames())));
}

}  // namespace

void ExperimentTable::Validate(const Node& at, Problems& problems) const {
  CheckKeys(at, "rows", rows, problems);
  CheckKeys(at, "columns", columns, problems);
  for (const std::string& key : compare) {
    if (std::find(rows.begin(), rows.end(), key) != rows.end()) continue;
    problems.Add(*at.Find("compare"), fmt::format("'{}' is not one of the rows", key));
  }
}

void FieldType<ValueColumn>::Read(const Node& node, ValueColumn& value, Problems& problems) {
  if (node.IsScalar()) {
    value.select.metric = node.text();
    return CheckMetric(node, value.select.metric, problems);
  }
  if (!node.IsMap()) return AddExpected(node, "a metric, or {metric: NAME, ...}", problems);
  ColumnOptions options;
  const size_t before = problems.count();
  ReadFields(node, options, problems);
  if (problems.count() != before) return;
  CheckMetric(*node.Find("metric"), options.metric, problems);
  value.select = {options.metric, options.protocol, options.task};
  value.heading = options.heading;
  if (options.relative) value.kind = ValueColumn::Kind::kRelativeToDense;
  if (options.decimals) {
    NumberFormat format = FormatOfMetric(options.metric);
    if (options.relative) format.style = NumberFormat::Style::kFixed;
    if (format.style == NumberFormat::Style::kSignificant)
      format.style = NumberFormat::Style::kFixed;
    format.digits = *options.decimals;
    value.format = format;
  }
}

void FieldType<std::vector<ValueColumn>>::Read(const Node& node, std::vector<ValueColumn>& value,
                                               Problems& problems) {
  const size_t before = problems.count();
  std::vector<ValueColumn> read;
  const auto add = [&](const Node& item) {
    ValueColumn column;
    FieldType<ValueColumn>::Read(item, column, problems);
    read.push_back(std::move(column));
  };
  if (node.IsSequence()) {
    for (const Node& item : node.items()) add(item);
  } else {
    add(node);
  }
  if (problems.count() == before) value = std::move(read);
}

std::string FieldType<std::vector<ValueColumn>>::Canonical(const std::vector<ValueColumn>& value) {
  std::vector<std::string> parts;
  for (const ValueColumn& column : value)
    parts.push_back(FieldType<ValueColumn>::Canonical(column));
  return fmt::format("[{}]", Join(parts, ","));
}

TableSpec TableSpecOf(const ExperimentTable& table, const std::string& title) {
  TableSpec spec;
  spec.title = title;
  spec.rows = table.rows;
  spec.columns = table.columns;
  spec.cells = table.cell;
  spec.extra = table.extra;
  spec.best = table.best;
  spec.compare = table.compare;
  spec.labels = table.labels;
  return spec;
}

}  // namespace condense
