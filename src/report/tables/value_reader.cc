#include "report/tables/value_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "report/tables/layout.h"
#include "stats/means.h"
#include "stats/stored_names.h"

namespace condense {
namespace {

std::string WholeTask(const std::string& task) { return ParseTaskPart(task).task; }

const MetricValue* FindTerm(const Measurement& measurement, const std::string& protocol,
                            const MeanTerm& term) {
  for (const MetricValue& value : measurement.values) {
    if (value.protocol == protocol && value.task == term.task &&
        value.metric == StoredName(term.metric)) {
      return &value;
    }
  }
  return nullptr;
}

// The perplexity of a text has no standard error of its own. By the delta method it follows from
// that of the loss, which is stored beside it and is the mean of the same samples.
std::optional<double> ErrorOf(const MetricValue& value, const Measurement& measurement) {
  const Metric metric = DescribeMetric(value.metric, value.unit);
  if (value.standard_error || metric.kind != Metric::Kind::kTextPerplexity) {
    return value.standard_error;
  }
  if (metric.series.empty()) return std::nullopt;
  for (const MetricValue& other : measurement.values) {
    if (other.standard_error && other.protocol == value.protocol && other.task == value.task &&
        DescribeMetric(other.metric, other.unit).series == metric.series) {
      return value.value * *other.standard_error;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string ValueReader::Heading() const {
  if (!column_.heading.empty()) return column_.heading;
  const MetricSelector& select = column_.select;
  std::string name = select.metric;
  if (!select.task.empty()) name = select.task;
  if (!select.mean.empty()) name = select.mean;
  name = ShownKey(spec_, "", name);
  if (task_.size() > select.task.size()) name += task_.substr(select.task.size());
  switch (column_.kind) {
    case ValueColumn::Kind::kValue:
      return name;
    case ValueColumn::Kind::kRelativeToDense:
      return "relative " + name;
    case ValueColumn::Kind::kRetention:
      return "retention of " + name;
    case ValueColumn::Kind::kRetentionAboveChance:
      return "retention above chance of " + name;
  }
  return name;
}

std::optional<ReadValue> ValueReader::Read(const Measurement& measurement) {
  std::optional<ReadValue> read = ReadRaw(measurement);
  if (!read || column_.kind == ValueColumn::Kind::kValue) return read;
  const Measurement* dense = DenseOf(measurement);
  const std::optional<ReadValue> reference = dense == nullptr ? std::nullopt : ReadRaw(*dense);
  if (!reference) return std::nullopt;
  std::optional<double> shown;
  if (column_.kind == ValueColumn::Kind::kRelativeToDense) {
    shown = read->value / reference->value;
  } else if (column_.kind == ValueColumn::Kind::kRetention) {
    shown = Retention(read->value, reference->value);
  } else if (const auto chance = ChanceOf(measurement, *read)) {
    shown = ChanceCorrectedRetention(read->value, reference->value, *chance);
  }
  if (!shown) return std::nullopt;
  read->value = *shown;
  read->standard_error.reset();
  return read;
}

std::optional<ReadValue> ValueReader::ReadRaw(const Measurement& measurement) {
  if (!column_.select.mean.empty()) return ReadMean(measurement);
  const MetricValue* found = nullptr;
  for (const MetricValue& value : measurement.values) {
    if (!Selects(value)) continue;
    RequireComparable(value, measurement);
    found = &value;
  }
  if (found == nullptr) return std::nullopt;
  return ReadValue{found->value, ErrorOf(*found, measurement), {found}};
}

std::optional<ReadValue> ValueReader::ReadMean(const Measurement& measurement) {
  const NamedMean& mean = FindMean(column_.select.mean);
  std::vector<StoredTaskValue> values;
  for (const MetricValue& value : measurement.values) {
    if (!HasProtocol(value)) continue;
    values.push_back(
        {value.protocol, value.task, value.metric, value.value, value.standard_error.value_or(0)});
  }
  std::optional<ReadValue> read;
  for (const MeanValue& complete : CompleteMeans(values)) {
    if (complete.id != mean.id) continue;
    read = {complete.value, complete.standard_error, {}};
    for (const MeanTerm& term : mean.terms) {
      read->sources.push_back(FindTerm(measurement, complete.protocol, term));
      RequireComparable(*read->sources.back(), measurement);
      if (!read->sources.back()->standard_error) read->standard_error.reset();
    }
  }
  return read;
}

std::string ValueReader::WhyMissing(const Measurement& measurement) const {
  if (column_.select.mean.empty()) return "";
  const NamedMean& mean = FindMean(column_.select.mean);
  std::vector<std::string> fewest;
  bool any = false;
  for (const MetricValue& value : measurement.values) {
    if (!HasProtocol(value)) continue;
    std::vector<std::string> lacking;
    for (const MeanTerm& term : mean.terms) {
      if (FindTerm(measurement, value.protocol, term) == nullptr) lacking.push_back(term.task);
      any = any || (WholeTask(value.task) == term.task && !value.task.empty());
    }
    if (fewest.empty() || lacking.size() < fewest.size()) fewest = lacking;
  }
  if (!any || fewest.empty()) return "";
  return fmt::format("{} is the mean of whole tasks under one protocol: {} {} missing", mean.id,
                     Join(fewest, ", "), fewest.size() == 1 ? "is" : "are");
}

std::optional<double> ValueReader::ChanceOf(const Measurement& measurement,
                                            const ReadValue& value) const {
  double sum = 0;
  for (const MetricValue* source : value.sources) {
    std::optional<double> chance = KnownChanceLevel(WholeTask(source->task));
    if (!chance && scores_ != nullptr) {
      if (const auto series = scores_->Find(measurement.id, *source)) chance = series->chance;
    }
    if (!chance) return std::nullopt;
    sum += *chance;
  }
  return sum / static_cast<double>(value.sources.size());
}

bool ValueReader::HasProtocol(const MetricValue& value) const {
  return column_.select.protocol.empty() || value.protocol == column_.select.protocol;
}

bool ValueReader::Selects(const MetricValue& value) const {
  const MetricSelector& select = column_.select;
  return value.metric == select.metric && HasProtocol(value) &&
         (value.task == select.task || WholeTask(value.task) == select.task);
}

void ValueReader::RequireComparable(const MetricValue& value, const Measurement& measurement) {
  const bool of_mean = !column_.select.mean.empty();
  if (example_ == nullptr) {
    example_ = &measurement;
    protocol_ = value.protocol;
    if (!of_mean) task_ = value.task;
  }
  if (value.protocol != protocol_) {
    throw MakeError<ConfigError>(
        "{} '{}': the column '{}' would hold numbers of two protocols: '{}' (cell {}) and '{}' "
        "(cell {}); name the protocol in the table's definition",
        spec_.noun, spec_.title, Heading(), protocol_, DescribePlace(spec_, *example_),
        value.protocol, DescribePlace(spec_, measurement));
  }
  if (!of_mean && value.task != task_) {
    throw MakeError<ConfigError>(
        "{} '{}': the column '{}' would hold numbers of '{}' (cell {}) and '{}' (cell {}); a part "
        "of a task does not compare with another part or the whole, name one in the table's "
        "definition",
        spec_.noun, spec_.title, Heading(), task_, DescribePlace(spec_, *example_), value.task,
        DescribePlace(spec_, measurement));
  }
  RequireSameBasis(value, measurement);
}

// The requests of a task are text, and the same for every model. The ids of a text depend on the
// model's tokenizer.
void ValueReader::RequireSameBasis(const MetricValue& value, const Measurement& measurement) {
  if (value.basis.empty()) return;
  const auto model = measurement.keys.find("model");
  const std::string group = !value.task.empty()               ? "task " + value.task
                            : model == measurement.keys.end() ? ""
                                                              : "model " + model->second;
  const auto [first, is_new] = bases_.emplace(group, std::pair(value.basis, &measurement));
  if (is_new || first->second.first == value.basis) return;
  throw MakeError<ConfigError>(
      "{} '{}': in the column '{}' the cells {} and {} were scored on different data{} (digests "
      "{} and {}) and cannot be compared",
      spec_.noun, spec_.title, Heading(), DescribePlace(spec_, *first->second.second),
      DescribePlace(spec_, measurement), value.task.empty() ? "" : " of " + value.task,
      first->second.first, value.basis);
}

// The dense measurement that agrees in every row key that it has, except the method.
const Measurement* ValueReader::DenseOf(const Measurement& measurement) const {
  for (const Measurement& dense : measurements_) {
    if (!dense.dense) continue;
    const bool agrees = std::all_of(spec_.rows.begin(), spec_.rows.end(), [&](const auto& key) {
      if (key == "method") return true;
      const auto of_dense = dense.keys.find(key), own = measurement.keys.find(key);
      return of_dense == dense.keys.end() ||
             (own != measurement.keys.end() && own->second == of_dense->second);
    });
    if (agrees) return &dense;
  }
  return nullptr;
}

}  // namespace condense
