#include "stats/means.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

using enum TaskMetric;

// Documents with 3, 4 and 5 choices.
double ChanceOfChoices(double three, double four, double five) {
  return (three / 3 + four / 4 + five / 5) / (three + four + five);
}

const std::map<std::string, double, std::less<>>& KnownChances() {
  static const std::map<std::string, double, std::less<>> chances = {
      {"arc_easy", ChanceOfChoices(7, 2365, 4)},
      {"arc_challenge", ChanceOfChoices(4, 1165, 3)},
      {"piqa", 0.5},
      {"winogrande", 0.5},
      {"hellaswag", 0.25},
      {"hellaswag-sample1000", 0.25},
      {"boolq", 0.5},
      {"openbookqa", 0.25},
      {"mathqa", 0.2},
      {"bundle_science_easy", 0.25},
      {"bundle_facts", 0.25},
      {"bundle_physical", 0.5},
      {"bundle_continuations", 0.25},
      {"bundle_coreference", 0.5},
  };
  return chances;
}

const StoredTaskValue* FindValue(std::span<const StoredTaskValue> values,
                                 const std::string& protocol, const MeanTerm& term) {
  const StoredTaskValue* found = nullptr;
  for (const StoredTaskValue& value : values) {
    if (value.protocol != protocol || value.task != term.task ||
        value.metric != StoredName(term.metric)) {
      continue;
    }
    if (found != nullptr && found->value != value.value) {
      throw MakeError<DataError>("{} of {} under protocol {} has two values, {} and {}",
                                 value.metric, value.task, protocol, found->value, value.value);
    }
    found = &value;
  }
  return found;
}

std::optional<MeanValue> MeanUnder(const std::string& protocol, const NamedMean& mean,
                                   std::span<const StoredTaskValue> values) {
  MeanValue result{mean.id, protocol};
  double squares = 0;
  for (const MeanTerm& term : mean.terms) {
    const StoredTaskValue* value = FindValue(values, protocol, term);
    if (value == nullptr) return std::nullopt;
    result.value += value->value;
    squares += value->standard_error * value->standard_error;
  }
  const auto count = static_cast<double>(mean.terms.size());
  result.value /= count;
  result.standard_error = std::sqrt(squares) / count;
  return result;
}

}  // namespace

const Metric& MeanMetric() {
  static const Metric metric{.name = "mean",
                             .unit = "fraction",
                             .format = {NumberFormat::Style::kPercent, 2},
                             .better = Better::kHigher,
                             .label = "mean accuracy",
                             .kind = Metric::Kind::kTaskAccuracy};
  return metric;
}

const std::vector<NamedMean>& NamedMeans() {
  static const std::vector<NamedMean> means = {
      {"mean5",
       {{"piqa", kAccNorm},
        {"winogrande", kAcc},
        {"hellaswag", kAccNorm},
        {"arc_easy", kAccNorm},
        {"arc_challenge", kAccNorm}}},
      {"mean5-uniql",
       {{"piqa", kAcc},
        {"winogrande", kAcc},
        {"hellaswag", kAccNorm},
        {"arc_easy", kAcc},
        {"arc_challenge", kAccNorm}}},
      {"mean5-acc",
       {{"piqa", kAcc},
        {"winogrande", kAcc},
        {"hellaswag", kAcc},
        {"arc_easy", kAcc},
        {"arc_challenge", kAcc}}},
      {"mean5-bundled",
       {{"bundle_physical", kAccNorm},
        {"bundle_coreference", kAcc},
        {"bundle_continuations", kAccNorm},
        {"bundle_science_easy", kAccNorm},
        {"bundle_facts", kAccNorm}}},
      {"mean7",
       {{"piqa", kAccNorm},
        {"winogrande", kAcc},
        {"hellaswag", kAccNorm},
        {"arc_easy", kAccNorm},
        {"arc_challenge", kAccNorm},
        {"boolq", kAcc},
        {"openbookqa", kAccNorm}}},
  };
  return means;
}

const NamedMean& FindMean(std::string_view id) {
  std::vector<std::string> known;
  for (const NamedMean& mean : NamedMeans()) {
    if (mean.id == id) return mean;
    known.push_back(mean.id);
  }
  throw MakeError<ConfigError>("there is no mean '{}'{}", id, SuggestName(id, known));
}

std::vector<MeanValue> CompleteMeans(std::span<const StoredTaskValue> values) {
  std::vector<std::string> protocols;
  for (const StoredTaskValue& value : values) {
    if (std::find(protocols.begin(), protocols.end(), value.protocol) == protocols.end()) {
      protocols.push_back(value.protocol);
    }
  }
  std::vector<MeanValue> complete;
  for (const std::string& protocol : protocols) {
    for (const NamedMean& mean : NamedMeans()) {
      if (const auto value = MeanUnder(protocol, mean, values)) complete.push_back(*value);
    }
  }
  return complete;
}

std::optional<double> KnownChanceLevel(std::string_view task) {
  const auto found = KnownChances().find(task);
  if (found == KnownChances().end()) return std::nullopt;
  return found->second;
}

double ChanceLevel(const NamedMean& mean) {
  double sum = 0;
  for (const MeanTerm& term : mean.terms) sum += KnownChanceLevel(term.task).value();
  return sum / static_cast<double>(mean.terms.size());
}

std::optional<double> Retention(double value, double dense) {
  if (dense == 0) return std::nullopt;
  return 100 * value / dense;
}

std::optional<double> ChanceCorrectedRetention(double value, double dense, double chance) {
  if (dense <= chance) return std::nullopt;
  return 100 * (value - chance) / (dense - chance);
}

}  // namespace condense
