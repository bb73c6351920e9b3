#include "runner/commands/evaluate_tasks.h"

#include <fmt/format.h>

#include <cmath>
#include <iostream>
#include <optional>

#include "base/error.h"
#include "base/strings.h"
#include "base/system.h"
#include "evaluation/task_evaluation.h"
#include "experiment/inputs/model_tokenizer.h"
#include "experiment/run/workbench.h"
#include "runner/json_output.h"
#include "runner/sample_file.h"
#include "stats/intervals.h"
#include "stats/means.h"

namespace condense {
namespace {

// "arc_easy,piqa=my_file.jsonl"
std::vector<TaskSet> LoadTasks(const Arguments& arguments) {
  const std::optional<int64_t> limit = arguments.Integer("limit");
  if (limit && *limit < 1) throw MakeError<ConfigError>("--limit {}: expected at least 1", *limit);
  const DataRoots roots = arguments.Data();
  std::vector<TaskSet> tasks;
  for (const std::string& entry : Split(arguments.Text("tasks"), ',')) {
    const size_t equals = entry.find('=');
    TaskOptions options{.limit = limit};
    if (equals != std::string::npos) options.file = entry.substr(equals + 1);
    TaskSet task = LoadTask(entry.substr(0, equals), roots, options);
    for (const TaskSet& other : tasks) {
      if (other.name == task.name) {
        throw MakeError<ConfigError>("--tasks: {} is listed twice", task.name);
      }
    }
    tasks.push_back(std::move(task));
  }
  return tasks;
}

struct Outcome {
  TaskScores scores;
  const TaskSet* task = nullptr;
  double seconds = 0;
};

bool IsShare(TaskMetric metric) { return metric != TaskMetric::kPerplexity; }

Interval WilsonOf(const TaskValue& value) {
  return WilsonInterval(std::round(value.value * static_cast<double>(value.count)), value.count);
}

void PrintText(const std::vector<Outcome>& outcomes) {
  std::cout << fmt::format("{:<24} {:>6} {:<9} {:>8} {:>7}  {}\n", "task", "docs", "metric",
                           "value", "stderr", "95 % interval");
  for (const Outcome& outcome : outcomes) {
    for (const TaskMetric metric : outcome.task->metrics) {
      const TaskValue value = ValueOf(outcome.scores, metric);
      std::string line =
          fmt::format("{:<24} {:>6} {:<9} ", outcome.scores.task, value.count, StoredName(metric));
      if (IsShare(metric)) {
        const Interval wilson = WilsonOf(value);
        line += fmt::format("{:>7.2f}% {:>6.2f}%  {:.2f} ... {:.2f}%", 100 * value.value,
                            100 * value.standard_error, 100 * wilson.low, 100 * wilson.high);
      } else {
        line += fmt::format("{:>8.3f} {:>7.3f}", value.value, value.standard_error);
      }
      const std::vector<std::string> flags = FlagsOf(outcome.scores, metric);
      if (!flags.empty()) line += "  [" + Join(flags, ", ") + "]";
      std::cout << line << "\n";
    }
  }
}

Json ToJson(const Outcome& outcome) {
  Json json;
  int64_t truncated = 0;
  for (const DocumentScore& document : outcome.scores.documents) truncated += document.truncated;
  for (const TaskMetric metric : outcome.task->metrics) {
    const std::string& name = StoredName(metric);
    const TaskValue value = ValueOf(outcome.scores, metric);
    json[name] = value.value;
    json[name + "_stderr"] = value.standard_error;
    if (IsShare(metric)) {
      const Interval wilson = WilsonOf(value);
      json[name + "_wilson95"] = {wilson.low, wilson.high};
      json[name + "_flags"] = FlagsOf(outcome.scores, metric);
    }
  }
  json["documents"] = outcome.scores.documents.size();
  json["requests"] = outcome.task->RequestCount();
  json["requests_sha256"] = outcome.scores.requests_sha256;
  json["truncated"] = truncated;
  json["file"] = outcome.task->file;
  json["file_sha256"] = outcome.task->data_sha256;
  json["known_file"] = outcome.task->known_file;
  json["seconds"] = outcome.seconds;
  return json;
}

std::vector<MeanValue> MeansOf(const std::vector<Outcome>& outcomes) {
  std::vector<StoredTaskValue> values;
  for (const Outcome& outcome : outcomes) {
    for (const TaskMetric metric : outcome.task->metrics) {
      const TaskValue value = ValueOf(outcome.scores, metric);
      values.push_back({outcome.scores.protocol, outcome.scores.task, StoredName(metric),
                        value.value, value.standard_error});
    }
  }
  return CompleteMeans(values);
}

}  // namespace

int EvaluateTasks(const Arguments& arguments) {
  const RequestProtocol protocol = RequestProtocolNamed(arguments.TextOr("protocol", "lmeval-bos"));
  const std::vector<TaskSet> tasks = LoadTasks(arguments);
  const std::filesystem::path folder = ModelFolder(arguments);
  const auto tokenizer = LoadModelTokenizer(folder);
  const InferenceScope inference;
  const StoredModel model(folder, {.dtype = ParseDType(arguments.TextOr("dtype", "float32")),
                                   .device = OpenComputeDevice(arguments)});

  std::optional<SampleFile> samples;
  if (const auto path = arguments.OptionalText("samples")) {
    SampleFile::Identity identity{.model = model.source().digest(), .protocol = protocol.id};
    for (const TaskSet& task : tasks) identity.tasks[task.name] = task.requests_sha256;
    samples.emplace(*path, identity);
  }
  std::vector<Outcome> outcomes;
  for (const TaskSet& task : tasks) {
    TaskEvaluation evaluation{.protocol = protocol, .max_length = arguments.Integer("max-length")};
    evaluation.score.batch_tokens = arguments.Integer("batch-tokens").value_or(0);
    if (samples) {
      evaluation.done = samples->Done(task.name);
      evaluation.keep = [&](std::span<const DocumentScore> documents) {
        samples->Keep(task.name, documents);
      };
    }
    const Stopwatch watch;
    TaskScores scores = EvaluateTask(model.source(), *tokenizer, task, evaluation);
    outcomes.push_back({std::move(scores), &task, watch.Seconds()});
  }
  if (samples) {
    std::vector<TaskScores> scores;
    for (const Outcome& outcome : outcomes) scores.push_back(outcome.scores);
    samples->Finish(tasks, scores);
  }
  const std::vector<MeanValue> means = MeansOf(outcomes);
  if (!arguments.Flag("json")) {
    PrintText(outcomes);
    for (const MeanValue& mean : means) {
      std::cout << fmt::format("{:<24} {:>6} {:<9} {:>7.2f}% {:>6.2f}%\n", mean.id, "", "mean",
                               100 * mean.value, 100 * mean.standard_error);
    }
    return 0;
  }
  Json json = {{"protocol", protocol.id}, {"model", model.source().digest()}};
  for (const Outcome& outcome : outcomes) json["tasks"][outcome.scores.task] = ToJson(outcome);
  for (const MeanValue& mean : means) {
    json["means"][mean.id] = {{"value", mean.value}, {"stderr", mean.standard_error}};
  }
  PrintJsonLine(json);
  return 0;
}

}  // namespace condense
