#include "evaluation/task_evaluation.h"

#include <algorithm>

#include "base/error.h"

namespace condense {
namespace {

// Scores arrive request by request, in any order; a document is finished with its last one.
class DocumentCollector {
 public:
  DocumentCollector(const TaskSet& task, const TaskEvaluation& evaluation)
      : task_(task), evaluation_(evaluation), scores_(task.documents.size()) {
    missing_.resize(task.documents.size());
    TakeDone();
  }

  // The requests that are not scored yet, encoded.
  std::vector<EncodedRequest> Encode(const RequestEncoder& encoder) {
    std::vector<EncodedRequest> encoded;
    for (size_t d = 0; d < task_.documents.size(); ++d) {
      if (!scores_[d].choices.empty()) continue;
      const TaskDocument& document = task_.documents[d];
      scores_[d] = {.index = document.index,
                    .sha256 = document.sha256,
                    .gold = document.gold,
                    .choices = std::vector<ChoiceScore>(document.requests.size())};
      missing_[d] = document.requests.size();
      for (size_t c = 0; c < document.requests.size(); ++c) {
        encoded.push_back(encoder.Encode(document.requests[c]));
        places_.push_back({d, c});
        scores_[d].truncated |= encoded.back().truncated;
        scores_[d].choices[c].code_points = document.code_points[c];
        scores_[d].choices[c].bytes = document.bytes[c];
      }
    }
    return encoded;
  }

  void Add(std::span<const size_t> requests, std::span<const Score> values) {
    std::vector<DocumentScore> finished;
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto [d, c] = places_[requests[i]];
      ChoiceScore& choice = scores_[d].choices[c];
      choice.log_likelihood = values[i].log_likelihood;
      choice.tokens = values[i].tokens;
      choice.greedy = values[i].greedy;
      if (--missing_[d] == 0 && evaluation_.keep) finished.push_back(scores_[d]);
    }
    if (!finished.empty()) evaluation_.keep(finished);
  }

  std::vector<DocumentScore> Take() { return std::move(scores_); }

 private:
  struct Place {
    size_t document = 0, choice = 0;
  };

  void TakeDone() {
    for (const DocumentScore& done : evaluation_.done) {
      const auto same = [](const TaskDocument& document, int64_t index) {
        return document.index < index;
      };
      const auto found =
          std::lower_bound(task_.documents.begin(), task_.documents.end(), done.index, same);
      if (found == task_.documents.end() || found->index != done.index ||
          found->sha256 != done.sha256 || found->requests.size() != done.choices.size()) {
        throw MakeError<DataError>(
            "{}: document {} was scored with other requests before; the stored scores belong to "
            "another version of the task",
            task_.name, done.index);
      }
      scores_[static_cast<size_t>(found - task_.documents.begin())] = done;
    }
  }

  const TaskSet& task_;
  const TaskEvaluation& evaluation_;
  std::vector<DocumentScore> scores_;  // without choices: not begun
  std::vector<size_t> missing_;        // requests of each document
  std::vector<Place> places_;          // of each encoded request
};

}  // namespace

TaskScores EvaluateTask(const ModelSource& model, const Tokenizer& tokenizer, const TaskSet& task,
                        const TaskEvaluation& evaluation) {
  const RequestEncoder encoder(tokenizer, evaluation.protocol,
                               evaluation.max_length.value_or(model.config().max_positions));
  DocumentCollector collector(task, evaluation);
  const std::vector<EncodedRequest> requests = collector.Encode(encoder);
  ScoreOptions options = evaluation.score;
  options.finished = [&](std::span<const size_t> finished, std::span<const Score> scores) {
    collector.Add(finished, scores);
  };
  if (!requests.empty()) ScoreRequests(model, requests, options);
  return {.task = task.name,
          .protocol = evaluation.protocol.id,
          .requests_sha256 = task.requests_sha256,
          .fixed_choices = task.fixed_choices,
          .documents = collector.Take()};
}

}  // namespace condense
