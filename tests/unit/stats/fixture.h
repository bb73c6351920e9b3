// Scores made by hand.
#pragma once

#include <string>
#include <vector>

#include "stats/task_scores.h"

namespace condense {

inline std::string SomeDigest(int64_t number) {
  std::string digest = std::to_string(number);
  return std::string(64 - digest.size(), '0') + digest;
}

// Choices of equal length with these log-likelihoods.
inline DocumentScore SomeDocument(int64_t index, int64_t gold,
                                  const std::vector<double>& log_likelihoods) {
  DocumentScore document{.index = index, .sha256 = SomeDigest(index), .gold = gold};
  for (const double value : log_likelihoods) document.choices.push_back({value, 4, 10, 12, false});
  return document;
}

// Two choices a document; the model is right where `right` says so. The right choice is the first
// one of every even document.
inline TaskScores SomeScores(const std::string& task, const std::vector<bool>& right,
                             const std::string& protocol = "lmeval-bos") {
  TaskScores scores{.task = task, .protocol = protocol, .requests_sha256 = "requests of " + task};
  for (size_t i = 0; i < right.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    const bool takes_first = right[i] == (i % 2 == 0);
    scores.documents.push_back(
        SomeDocument(index, index % 2, {takes_first ? -1.0 : -3.0, takes_first ? -3.0 : -1.0}));
  }
  return scores;
}

}  // namespace condense
