// Accuracy on tasks of configs/tasks without examples in the prompt, as the lm-evaluation-harness
// measures it. Finished documents are stored at once, so that an interrupted task is resumed.
#include <fmt/format.h>

#include <algorithm>

#include "base/system.h"
#include "evaluation/task_evaluation.h"
#include "experiment/inputs/config_name.h"
#include "experiment/run/workbench.h"
#include "experiment/stages/evaluator.h"
#include "results/score_samples.h"
#include "stats/stored_names.h"

namespace condense {
namespace {

// Documents are kept this often: a transaction costs milliseconds.
constexpr double kKeepEverySeconds = 2;

class PartKeeper {
 public:
  PartKeeper(const EvaluationStage& stage, const StageParts& parts)
      : stage_(stage), parts_(parts) {}

  void Add(std::span<const DocumentScore> documents) {
    waiting_.insert(waiting_.end(), documents.begin(), documents.end());
    if (watch_.Seconds() < kKeepEverySeconds) return;
    parts_.keep(PackDocuments(stage_.protocol, stage_.task, waiting_));
    waiting_.clear();
    watch_ = {};
  }

 private:
  const EvaluationStage& stage_;
  const StageParts& parts_;
  std::vector<DocumentScore> waiting_;
  Stopwatch watch_;
};

class ZeroShotEvaluator final : public Evaluator {
 public:
  struct Params {
    std::vector<ConfigName<TaskNameKind>> tasks;
    std::vector<std::string> protocols{"lmeval-bos"};
    std::optional<int64_t> limit;

    template <class V>
    void Fields(V&& field) {
      field("tasks", tasks, "tasks, see `runner list tasks`", Required{}, NonEmpty{});
      field("protocols", protocols, "lmeval-bos, lmeval-nobos, lmeval-0.3", NonEmpty{});
      field("limit", limit, "only this many documents of each task", Range::AtLeast(1));
    }
    void Validate(const Node& at, Problems& problems) const {
      RefuseRepeated(at, "tasks", tasks, problems);
      RefuseRepeated(
          at, "protocols", protocols, [](const std::string& id) { return id; }, problems);
      const Node* list = at.Find("protocols");
      if (list == nullptr) return;
      const std::vector<std::string> known = RequestProtocolNames();
      for (const Node& item : list->items()) {
        if (std::find(known.begin(), known.end(), item.text()) != known.end()) continue;
        AddUnknownChoice(item, known, problems);
      }
    }
  };
  explicit ZeroShotEvaluator(Params params) : params_(std::move(params)) {}

  std::vector<EvaluationStage> Stages() const override {
    std::vector<EvaluationStage> stages;
    for (const std::string& protocol : params_.protocols) {
      for (const auto& task : params_.tasks) {
        stages.push_back({protocol, FormatTaskPart({task.name, params_.limit})});
      }
    }
    return stages;
  }
  std::string ProtocolParams(const EvaluationStage& stage) const override {
    return RequestProtocolNamed(stage.protocol).CanonicalParams();
  }
  std::optional<Input> Inputs(const EvaluationStage& stage, InputResolver& inputs) const override {
    const Input* task = inputs.Task(NameOf(stage));
    if (task == nullptr) return std::nullopt;
    Input input = *task;
    input.canonical =
        fmt::format(R"({{"task":{},"label":{},"requests":{}}})", task->canonical,
                    JsonString(stage.task), RequestProtocolNamed(stage.protocol).CanonicalParams());
    return input;
  }
  StageResult Run(const EvaluationStage& stage, EvaluationSubject& subject) const override {
    const TaskSet& task = subject.bench.Task(NameOf(stage), params_.limit);
    PartKeeper keeper(stage, subject.parts);
    TaskEvaluation evaluation{.protocol = RequestProtocolNamed(stage.protocol)};
    for (const auto& part : subject.parts.earlier) {
      const std::vector<DocumentScore> documents = UnpackDocuments(part);
      evaluation.done.insert(evaluation.done.end(), documents.begin(), documents.end());
    }
    evaluation.keep = [&](std::span<const DocumentScore> documents) { keeper.Add(documents); };
    return RecordsOf(
        EvaluateTask(subject.source, subject.bench.TokenizerOf(subject.model), task, evaluation),
        task.metrics);
  }

 private:
  // Of the definition.
  static std::string NameOf(const EvaluationStage& stage) { return ParseTaskPart(stage.task).task; }

  // The metrics of the task, and the scores that they come from. Other normalisations of the scores
  // are added where there is one.
  static StageResult RecordsOf(const TaskScores& scores, const std::vector<TaskMetric>& metrics) {
    StageResult result;
    const auto add = [&](TaskMetric metric) {
      const TaskValue value = ValueOf(scores, metric);
      MetricRecord record =
          RecordOf(StoredMetric(metric), value.value, scores.protocol, scores.task);
      record.standard_error = value.standard_error;
      record.count = value.count;
      record.basis = scores.requests_sha256;
      result.metrics.push_back(std::move(record));
    };
    for (const TaskMetric metric : metrics) {
      add(metric);
      if (metric != TaskMetric::kAccNorm) continue;
      add(TaskMetric::kAccBytes);
      add(TaskMetric::kAccTok);
    }
    result.samples = PackScores(scores);
    return result;
  }

  Params params_;
};

CONDENSE_REGISTER(Evaluator, ZeroShotEvaluator, "zero_shot", /*version=*/1,
                  "Accuracy on multiple-choice tasks by log-likelihood, without examples.");

}  // namespace
}  // namespace condense
