#include "stats/comparison.h"

#include <cmath>

#include "base/error.h"

namespace condense {
namespace {

void RequireSameProtocol(const std::string& what, const std::string& reference,
                         const std::string& other, const ComparedNames& names) {
  if (reference == other) return;
  throw MakeError<ConfigError>(
      "{}: {} was scored under protocol {}, {} under {}; values of different protocols are not "
      "compared",
      what, names.reference, reference, names.other, other);
}

void RequireSameDocument(const std::string& task, const DocumentScore& reference,
                         const DocumentScore& other, const ComparedNames& names) {
  const char* differs = reference.index != other.index                     ? "places in the file"
                        : reference.sha256 != other.sha256                 ? "requests"
                        : reference.gold != other.gold                     ? "right choices"
                        : reference.choices.size() != other.choices.size() ? "numbers of choices"
                                                                           : nullptr;
  if (differs == nullptr) return;
  throw MakeError<DataError>(
      "{}: {} and {} cannot be compared: the {} of document {} and document {} differ (SHA-256 {} "
      "and {}); score both with one task file",
      task, names.reference, names.other, differs, reference.index, other.index, reference.sha256,
      other.sha256);
}

}  // namespace

double MeanOfMeans(const ScoreGroups& groups) {
  double sum = 0;
  for (const auto& group : groups) sum += MeanOf(group);
  return sum / static_cast<double>(groups.size());
}

double StandardErrorOfMeans(const ScoreGroups& groups) {
  double squares = 0;
  for (const auto& group : groups) squares += std::pow(StandardErrorOfMean(group), 2);
  return std::sqrt(squares) / static_cast<double>(groups.size());
}

MeanEstimate EstimateMean(const ScoreGroups& groups, Resampling resampling,
                          const BootstrapOptions& options) {
  const bool windows = resampling == Resampling::kWindows;
  CONDENSE_CHECK(!windows || groups.size() == 1, "{} groups of windows", groups.size());
  return {MeanOfMeans(groups), StandardErrorOfMeans(groups),
          windows ? BlockBootstrapMean(groups[0], /*block=*/0, options)
                  : BootstrapMeanOfMeans(groups, options)};
}

ScoreGroups Differences(const ScoreGroups& reference, const ScoreGroups& other) {
  ScoreGroups differences = other;
  for (size_t g = 0; g < differences.size(); ++g) {
    for (size_t i = 0; i < differences[g].size(); ++i) differences[g][i] -= reference[g][i];
  }
  return differences;
}

void RequireComparable(const TaskScores& reference, const TaskScores& other,
                       const ComparedNames& names) {
  if (reference.task != other.task) {
    throw MakeError<ConfigError>("{} was scored on task {}, {} on {}; only one task compares",
                                 names.reference, reference.task, names.other, other.task);
  }
  RequireSameProtocol(reference.task, reference.protocol, other.protocol, names);
  if (reference.documents.size() != other.documents.size()) {
    throw MakeError<DataError>(
        "{}: {} and {} cannot be compared: {} documents against {}; score both with one task file",
        reference.task, names.reference, names.other, reference.documents.size(),
        other.documents.size());
  }
  for (size_t i = 0; i < reference.documents.size(); ++i) {
    RequireSameDocument(reference.task, reference.documents[i], other.documents[i], names);
  }
  if (reference.requests_sha256 != other.requests_sha256) {
    throw MakeError<DataError>(
        "{}: {} and {} cannot be compared: their requests differ (SHA-256 {} and {}); score both "
        "with one task file and one definition",
        reference.task, names.reference, names.other, reference.requests_sha256,
        other.requests_sha256);
  }
  if (reference.documents.empty()) {
    throw MakeError<DataError>("{}: there are no documents to compare", reference.task);
  }
}

void RequireComparable(const WindowLosses& reference, const WindowLosses& other,
                       const ComparedNames& names) {
  RequireSameProtocol("perplexity", reference.protocol, other.protocol, names);
  if (reference.ids_sha256 != other.ids_sha256 || reference.losses.size() != other.losses.size() ||
      reference.losses.empty()) {
    throw MakeError<DataError>(
        "{}: {} and {} cannot be compared: they scored {} windows with ids of SHA-256 {} and {} "
        "windows with ids of SHA-256 {}; evaluate both with one text and one tokenizer",
        reference.protocol, names.reference, names.other, reference.losses.size(),
        reference.ids_sha256, other.losses.size(), other.ids_sha256);
  }
}

}  // namespace condense
