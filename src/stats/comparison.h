// Means of scores with their uncertainty, and paired comparison of two models on the same documents
// or windows (protocols.md 1.2, 3.8).
//
// Scores are outcomes of documents (0 or 1, or averages of them) or losses, in groups: one per task
// of a mean, else a single one. Differences are other - reference.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "stats/intervals.h"
#include "stats/task_scores.h"

namespace condense {

using ScoreGroups = std::vector<std::vector<double>>;

enum class Resampling {
  kDocuments,  // independent of each other
  kWindows,    // of one text: neighbours are correlated, so blocks are drawn
};

struct MeanEstimate {
  double mean = 0;            // of the means of the groups
  double standard_error = 0;  // sqrt(sum of the groups' squared) / number of groups
  Interval interval;          // 95%, bootstrap
};
// `groups` is one group for windows; no group is empty. Of the differences of paired scores this is
// a paired bootstrap.
MeanEstimate EstimateMean(const ScoreGroups& groups, Resampling resampling,
                          const BootstrapOptions& options);
double MeanOfMeans(const ScoreGroups& groups);
double StandardErrorOfMeans(const ScoreGroups& groups);

// Of each document or window; both sides have the same.
ScoreGroups Differences(const ScoreGroups& reference, const ScoreGroups& other);

// How the two sides of a comparison are called in messages.
struct ComparedNames {
  std::string reference = "the reference", other = "the other";
};

// Throws unless both are scores of the same requests of the same documents: ConfigError for another
// task or protocol, DataError for other texts behind one name.
void RequireComparable(const TaskScores& reference, const TaskScores& other,
                       const ComparedNames& names = {});

// Means over windows, in the order of the text.
struct WindowLosses {
  std::string protocol;    // "wikitext2-2048"
  std::string ids_sha256;  // of the scored ids
  std::vector<double> losses;
};
// The same for windows.
void RequireComparable(const WindowLosses& reference, const WindowLosses& other,
                       const ComparedNames& names = {});

}  // namespace condense
