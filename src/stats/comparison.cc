#include "stats/comparison.h"

#include <cmath>

#include "base/error.h"

namespace condense {
namespace {

std::vector<double> Differences(std::span<const double> reference, std::span<const double> other) {
  std::vector<double> differences(reference.size());
  for (size_t i = 0; i < differences.size(); ++i) differences[i] = other[i] - reference[i];
  return differences;
}

void RequireSameProtocol(const std::string& what, const std::string& reference,
                         const std::string& other, const ComparisonOptions& options) {
  if (reference == other) return;
  throw MakeError<ConfigError>(
      "{}: {} was scored under protocol {}, {} under {}; values of different protocols are not "
      "compared",
      what, options.reference_name, reference, options.other_name, other);
}

void RequireSameDocument(const std::string& task, const DocumentScore& reference,
                         const DocumentScore& other, const ComparisonOptions& options) {
  const char* differs = reference.index != other.index                     ? "places in the file"
                        : reference.sha256 != other.sha256                 ? "requests"
                        : reference.gold != other.gold                     ? "right choices"
                        : reference.choices.size() != other.choices.size() ? "numbers of choices"
                                                                           : nullptr;
  if (differs == nullptr) return;
  throw MakeError<DataError>(
      "{}: {} and {} cannot be compared: the {} of document {} and document {} differ (SHA-256 {} "
      "and {}); score both with one task file",
      task, options.reference_name, options.other_name, differs, reference.index, other.index,
      reference.sha256, other.sha256);
}

const TaskScores& RequireScores(std::span<const TaskScores> scores, const std::string& task,
                                const std::string& name) {
  const TaskScores* found = FindScores(scores, task);
  if (found != nullptr) return *found;
  throw MakeError<ConfigError>("{} has no scores of task {}; evaluate it there first", name, task);
}

LossComparison CompareSeries(const std::vector<double>& differences, int64_t block,
                             const BootstrapOptions& options) {
  LossComparison result{.count = static_cast<int64_t>(differences.size()),
                        .mean_difference = MeanOf(differences),
                        .standard_error = StandardErrorOfMean(differences)};
  result.interval = BlockBootstrapMean(differences, block, options);
  result.ratio = std::exp(result.mean_difference);
  result.ratio_interval = {std::exp(result.interval.low), std::exp(result.interval.high)};
  return result;
}

}  // namespace

void RequireComparable(const TaskScores& reference, const TaskScores& other,
                       const ComparisonOptions& options) {
  if (reference.task != other.task) {
    throw MakeError<ConfigError>("{} was scored on task {}, {} on {}; only one task compares",
                                 options.reference_name, reference.task, options.other_name,
                                 other.task);
  }
  RequireSameProtocol(reference.task, reference.protocol, other.protocol, options);
  if (reference.documents.size() != other.documents.size()) {
    throw MakeError<DataError>(
        "{}: {} and {} cannot be compared: {} documents against {}; score both with one task file",
        reference.task, options.reference_name, options.other_name, reference.documents.size(),
        other.documents.size());
  }
  for (size_t i = 0; i < reference.documents.size(); ++i) {
    RequireSameDocument(reference.task, reference.documents[i], other.documents[i], options);
  }
  if (reference.requests_sha256 != other.requests_sha256) {
    throw MakeError<DataError>(
        "{}: {} and {} cannot be compared: their requests differ (SHA-256 {} and {}); score both "
        "with one task file and one definition",
        reference.task, options.reference_name, options.other_name, reference.requests_sha256,
        other.requests_sha256);
  }
  if (reference.documents.empty()) {
    throw MakeError<DataError>("{}: there are no documents to compare", reference.task);
  }
}

TaskComparison CompareTask(const TaskScores& reference, const TaskScores& other, TaskMetric metric,
                           const ComparisonOptions& options) {
  CONDENSE_CHECK(metric != TaskMetric::kPerplexity, "perplexities have no McNemar test");
  RequireComparable(reference, other, options);
  const std::vector<double> first = Outcomes(reference, metric), second = Outcomes(other, metric);
  const std::vector<double> differences = Differences(first, second);
  TaskComparison result{.task = reference.task,
                        .metric = metric,
                        .reference = ValueOf(reference, metric),
                        .other = ValueOf(other, metric),
                        .difference = MeanOf(differences),
                        .standard_error = StandardErrorOfMean(differences)};
  const std::string purpose = fmt::format("bootstrap {} {}", reference.task, StoredName(metric));
  result.interval = BootstrapMeanOfMeans(
      {&differences, 1}, {.draws = options.draws, .seed = options.seed, .purpose = purpose});
  result.test = McNemarTest(first, second);
  result.holm_p = result.test.p;
  return result;
}

std::vector<TaskComparison> CompareTasks(std::span<const TaskScores> reference,
                                         std::span<const TaskScores> other,
                                         std::span<const MeanTerm> terms,
                                         const ComparisonOptions& options) {
  std::vector<TaskComparison> comparisons;
  std::vector<double> p;
  for (const MeanTerm& term : terms) {
    comparisons.push_back(CompareTask(RequireScores(reference, term.task, options.reference_name),
                                      RequireScores(other, term.task, options.other_name),
                                      term.metric, options));
    p.push_back(comparisons.back().test.p);
  }
  const std::vector<double> adjusted = HolmAdjusted(p);
  for (size_t i = 0; i < p.size(); ++i) comparisons[i].holm_p = adjusted[i];
  return comparisons;
}

std::optional<MeanComparison> CompareMeans(const NamedMean& mean,
                                           std::span<const TaskScores> reference,
                                           std::span<const TaskScores> other,
                                           const ComparisonOptions& options) {
  const auto of_reference = MeanOfScores(mean, reference), of_other = MeanOfScores(mean, other);
  if (!of_reference && !of_other) return std::nullopt;
  std::vector<std::vector<double>> differences;
  double squares = 0, chance = 0;
  for (const MeanTerm& term : mean.terms) {
    const TaskScores& first = RequireScores(reference, term.task, options.reference_name);
    const TaskScores& second = RequireScores(other, term.task, options.other_name);
    RequireComparable(first, second, options);
    differences.push_back(Differences(Outcomes(first, term.metric), Outcomes(second, term.metric)));
    squares += std::pow(StandardErrorOfMean(differences.back()), 2);
    chance += ChanceLevel(first);
  }
  const auto count = static_cast<double>(mean.terms.size());
  MeanComparison result{.reference = of_reference.value(), .other = of_other.value()};
  result.difference = result.other.value - result.reference.value;
  result.standard_error = std::sqrt(squares) / count;
  const std::string purpose = fmt::format("bootstrap {} paired", mean.id);
  result.interval = BootstrapMeanOfMeans(
      differences, {.draws = options.draws, .seed = options.seed, .purpose = purpose});
  result.retention = Retention(result.other.value, result.reference.value);
  result.chance_corrected_retention =
      ChanceCorrectedRetention(result.other.value, result.reference.value, chance / count);
  return result;
}

LossComparison CompareLosses(const WindowLosses& reference, const WindowLosses& other,
                             int64_t block, const ComparisonOptions& options) {
  RequireSameProtocol("perplexity", reference.protocol, other.protocol, options);
  if (reference.ids_sha256 != other.ids_sha256 || reference.losses.size() != other.losses.size() ||
      reference.losses.empty()) {
    throw MakeError<DataError>(
        "{}: {} and {} cannot be compared: they scored {} windows with ids of SHA-256 {} and {} "
        "windows with ids of SHA-256 {}; evaluate both with one text and one tokenizer",
        reference.protocol, options.reference_name, options.other_name, reference.losses.size(),
        reference.ids_sha256, other.losses.size(), other.ids_sha256);
  }
  const std::string purpose = fmt::format("block bootstrap {}", reference.protocol);
  return CompareSeries(Differences(reference.losses, other.losses), block,
                       {.draws = options.draws, .seed = options.seed, .purpose = purpose});
}

LossComparison CompareLikelihoods(const TaskScores& reference, const TaskScores& other,
                                  const ComparisonOptions& options) {
  RequireComparable(reference, other, options);
  // A loss is a negative log-likelihood, so the two sides change places.
  const std::vector<double> differences = Differences(Outcomes(other, TaskMetric::kPerplexity),
                                                      Outcomes(reference, TaskMetric::kPerplexity));
  const std::string purpose = fmt::format("bootstrap {} ppl", reference.task);
  return CompareSeries(differences, 1,
                       {.draws = options.draws, .seed = options.seed, .purpose = purpose});
}

}  // namespace condense
