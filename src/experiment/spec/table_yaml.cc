#include "experiment/spec/table_yaml.h"

#include <algorithm>

#include "config/paths.h"
#include "experiment/stages/transform.h"
#include "stats/means.h"
#include "stats/stored_names.h"

namespace condense {

const std::vector<std::string>& MeasurementKeys() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> all = {
        "model", "method", "ratio",    "ratio_kind",         "calibration",
        "seed",  "dtype",  "ablation", "calibration_corpus", "calibration_tokens",
        "params"};
    for (std::string& transform : TransformKeys()) all.push_back(std::move(transform));
    return all;
  }();
  return keys;
}

namespace {

enum class Show { kValue, kError, kDeviation };
enum class RetentionKind { kNone, kOfAll, kAboveChance };

}  // namespace

template <>
struct EnumNames<Show> {
  static constexpr std::array names{std::pair{Show::kValue, "value"},
                                    std::pair{Show::kError, "error"},
                                    std::pair{Show::kDeviation, "sd"}};
};
template <>
struct EnumNames<RetentionKind> {
  static constexpr std::array names{std::pair{RetentionKind::kOfAll, "true"},
                                    std::pair{RetentionKind::kNone, "false"},
                                    std::pair{RetentionKind::kAboveChance, "above_chance"}};
};

namespace {

bool IsAccuracy(const std::string& metric) {
  return DescribeMetric(metric, "").kind == Metric::Kind::kTaskAccuracy;
}
bool IsOfTask(const std::string& metric) {
  return IsAccuracy(metric) || DescribeMetric(metric, "").kind == Metric::Kind::kTaskPerplexity;
}

void CheckMetric(const Node& at, const std::string& name, Problems& problems) {
  if (FindMetric(name)) return;
  problems.Add(at, fmt::format("unknown metric '{}'{}", name, SuggestName(name, MetricNames())));
}

void CheckMean(const Node& at, const std::string& name, Problems& problems) {
  std::vector<std::string> known;
  for (const NamedMean& mean : NamedMeans()) known.push_back(mean.id);
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  problems.Add(at, fmt::format("unknown mean '{}'{}", name, SuggestName(name, known)));
}

// "arc_easy", or a part of it: "arc_easy@first-100".
void CheckTask(const Node& at, const std::string& name, Problems& problems) {
  const std::vector<std::string> known = ListConfigs("tasks");
  const std::string whole = ParseTaskPart(name).task;
  if (std::find(known.begin(), known.end(), whole) != known.end()) return;
  problems.Add(at, fmt::format("unknown task '{}'{}", whole, SuggestName(whole, known)));
}

struct ColumnOptions {
  std::string metric, mean, tasks, protocol, task, heading;
  bool relative = false;
  RetentionKind retention = RetentionKind::kNone;
  Show show = Show::kValue;
  std::optional<int> decimals;

  template <class V>
  void Fields(V&& field) {
    field("metric", metric, "name of a stored metric", NonEmpty{});
    field("mean", mean, "instead: a mean over tasks, such as mean5", NonEmpty{});
    field("tasks", tasks, "instead: the tasks of a mean, and the mean", NonEmpty{});
    field("protocol", protocol, "where several protocols are evaluated", NonEmpty{});
    field("task", task, "of metrics that belong to tasks", NonEmpty{});
    field("heading", heading, "of the column", NonEmpty{});
    field("relative", relative, "divided by the value of the dense model");
    field("retention", retention, "in percent of the dense model's accuracy");
    field("show", show, "error: with the standard error; sd: with the deviation over seeds");
    field("decimals", decimals, "printed digits after the point", Range(0, 12));
  }

  void Validate(const Node& at, Problems& problems) const {
    int given = 0;
    for (const std::string* name : {&metric, &mean, &tasks}) given += name->empty() ? 0 : 1;
    if (given != 1) return problems.Add(at, "give one of metric, mean and tasks");
    if (!metric.empty()) CheckMetric(*at.Find("metric"), metric, problems);
    if (!mean.empty()) CheckMean(*at.Find("mean"), mean, problems);
    if (!tasks.empty()) CheckMean(*at.Find("tasks"), tasks, problems);
    ValidateTask(at, problems);
    ValidateKind(at, problems);
  }

 private:
  void ValidateTask(const Node& at, Problems& problems) const {
    if (IsOfTask(metric) && task.empty()) {
      problems.Add(at, fmt::format("{} belongs to a task; name it with task: NAME", metric));
    }
    if (!task.empty() && metric.empty()) {
      problems.Add(*at.Find("task"), "is allowed only with metric");
    } else if (!task.empty() && IsOfTask(metric)) {
      CheckTask(*at.Find("task"), task, problems);
    }
    if (!heading.empty() && !tasks.empty()) {
      problems.Add(
          *at.Find("heading"),
          "names one column, but tasks makes several; give each task a label under labels");
    }
  }
  void ValidateKind(const Node& at, Problems& problems) const {
    const bool retains = retention != RetentionKind::kNone;
    if (retains && !metric.empty() && !IsAccuracy(metric)) {
      problems.Add(*at.Find("retention"), "applies only to accuracies and their means");
    }
    if (relative && retains)
      problems.Add(*at.Find("retention"), "cannot be combined with relative");
    if (show == Show::kError && (relative || retains)) {
      problems.Add(*at.Find("show"), "values relative to the dense model have no standard error");
    }
  }
};

ValueColumn::Kind KindOf(const ColumnOptions& options) {
  if (options.relative) return ValueColumn::Kind::kRelativeToDense;
  if (options.retention == RetentionKind::kOfAll) return ValueColumn::Kind::kRetention;
  if (options.retention == RetentionKind::kAboveChance) {
    return ValueColumn::Kind::kRetentionAboveChance;
  }
  return ValueColumn::Kind::kValue;
}

ValueColumn ColumnOf(const MetricSelector& select, const ColumnOptions& options) {
  ValueColumn column;
  column.select = select;
  column.heading = options.heading;
  column.kind = KindOf(options);
  column.show_error = options.show == Show::kError;
  column.show_deviation = options.show == Show::kDeviation;
  if (!options.decimals) return column;
  NumberFormat format = MetricOf(select).format;
  const bool plain = column.kind == ValueColumn::Kind::kValue;
  if (!plain || format.style == NumberFormat::Style::kSignificant) {
    format.style = NumberFormat::Style::kFixed;
  }
  format.digits = *options.decimals;
  column.format = format;
  return column;
}

// What one entry stands for.
std::vector<ValueColumn> ColumnsOf(const ColumnOptions& options) {
  if (!options.metric.empty()) {
    return {ColumnOf({options.metric, options.protocol, options.task, ""}, options)};
  }
  std::vector<ValueColumn> columns;
  if (!options.tasks.empty()) {
    for (const MeanTerm& term : FindMean(options.tasks).terms) {
      columns.push_back(
          ColumnOf({StoredName(term.metric), options.protocol, term.task, ""}, options));
    }
  }
  const std::string& mean = options.mean.empty() ? options.tasks : options.mean;
  columns.push_back(ColumnOf({"", options.protocol, "", mean}, options));
  return columns;
}

void ReadEntry(const Node& node, std::vector<ValueColumn>& columns, Problems& problems) {
  ColumnOptions options;
  const size_t before = problems.count();
  if (node.IsScalar()) {
    options.metric = node.text();
    CheckMetric(node, options.metric, problems);
    if (IsOfTask(options.metric)) {
      problems.Add(
          node, fmt::format("{0} belongs to a task: {{metric: {0}, task: NAME}}", options.metric));
    }
  } else if (node.IsMap()) {
    ReadFields(node, options, problems);
  } else {
    return AddExpected(node, "a metric, or {metric: NAME, ...}", problems);
  }
  if (problems.count() != before) return;
  for (ValueColumn& column : ColumnsOf(options)) columns.push_back(std::move(column));
}

void CheckKeys(const Node& at, const char* key, const std::vector<std::string>& names,
               Problems& problems) {
  for (size_t i = 0; i < names.size(); ++i) {
    const auto& known = MeasurementKeys();
    if (std::find(known.begin(), known.end(), names[i]) != known.end()) continue;
    problems.Add(at.Find(key)->items()[i],
                 fmt::format("unknown table key '{}'{}", names[i], SuggestName(names[i], known)));
  }
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

void FieldType<std::vector<ValueColumn>>::Read(const Node& node, std::vector<ValueColumn>& value,
                                               Problems& problems) {
  const size_t before = problems.count();
  std::vector<ValueColumn> read;
  if (node.IsSequence()) {
    for (const Node& item : node.items()) ReadEntry(item, read, problems);
  } else {
    ReadEntry(node, read, problems);
  }
  if (problems.count() == before) value = std::move(read);
}

std::string FieldType<std::vector<ValueColumn>>::Canonical(const std::vector<ValueColumn>& value) {
  std::vector<std::string> parts;
  for (const ValueColumn& column : value) {
    const MetricSelector& select = column.select;
    std::string name = select.mean.empty() ? select.metric : select.mean;
    if (!select.task.empty()) name += " " + select.task;
    parts.push_back(JsonString(name));
  }
  return fmt::format("[{}]", Join(parts, ","));
}

TableSpec TableSpecOf(const ExperimentTable& table, const std::string& title) {
  TableSpec spec;
  spec.title = table.title.empty() ? title : table.title;
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
