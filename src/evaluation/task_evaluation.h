// A task on a model: documents to requests, requests to scores, scores back to documents
// (protocols.md 3). Metrics are computed from the result by stats/.
#pragma once

#include <functional>
#include <span>

#include "data/tasks/task.h"
#include "evaluation/scorer.h"
#include "model/model_source.h"
#include "stats/task_scores.h"

namespace condense {

struct TaskEvaluation {
  RequestProtocol protocol;
  // Ids in one input; nullopt: the model's positions.
  std::optional<int64_t> max_length;
  ScoreOptions score;
  // Documents scored before, for the same model, task and protocol; they are not computed again.
  // DataError when one is not of this task, that is, its digest differs.
  std::vector<DocumentScore> done;
  // Receives documents as they are finished, in no particular order, to be stored.
  std::function<void(std::span<const DocumentScore>)> keep;
};

// DataError that names the document's place when it cannot be encoded; NumericError when a score is
// not finite.
TaskScores EvaluateTask(const ModelSource& model, const Tokenizer& tokenizer, const TaskSet& task,
                        const TaskEvaluation& evaluation);

}  // namespace condense
