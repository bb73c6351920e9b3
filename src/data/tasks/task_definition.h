// The definition of a task, configs/tasks/<name>.yaml: the names of its file, the forms that its
// records may have, and the templates that turn a record into requests (protocols.md 3.2, 3.4).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/fields.h"
#include "data/tasks/task_template.h"
#include "data/text/corpus.h"
#include "stats/task_scores.h"

namespace condense {

enum class TaskKind {
  kMultipleChoice,  // one context, one continuation per choice
  kContextOptions,  // one context per choice, one continuation (WinoGrande)
  kLastWord,        // one request, no choices (LAMBADA)
};

template <>
struct EnumNames<TaskKind> {
  static constexpr std::array names{std::pair{TaskKind::kMultipleChoice, "multiple-choice"},
                                    std::pair{TaskKind::kContextOptions, "context-options"},
                                    std::pair{TaskKind::kLastWord, "last-word"}};
};
template <>
struct EnumNames<TaskMetric> {
  static constexpr std::array names{std::pair{TaskMetric::kAcc, "acc"},
                                    std::pair{TaskMetric::kAccNorm, "acc_norm"},
                                    std::pair{TaskMetric::kAccBytes, "acc_bytes"},
                                    std::pair{TaskMetric::kAccTok, "acc_tok"},
                                    std::pair{TaskMetric::kGreedy, "greedy"},
                                    std::pair{TaskMetric::kPerplexity, "ppl"}};
};

// One path to a list, or a list of paths.
struct ChoicePaths {
  std::vector<RecordPath> paths;
};
template <>
struct FieldType<ChoicePaths> {
  static void Read(const Node& node, ChoicePaths& value, Problems& problems) {
    if (node.IsScalar()) {
      value.paths.resize(1);
      FieldType<RecordPath>::Read(node, value.paths.front(), problems);
    } else {
      FieldType<std::vector<RecordPath>>::Read(node, value.paths, problems);
    }
  }
  static std::string Canonical(const ChoicePaths& value) {
    return FieldType<std::vector<RecordPath>>::Canonical(value.paths);
  }
  static std::string TypeName() { return "path or list of paths"; }
};

// One format of records.
struct TaskForm {
  std::string name;
  RecordNames fields;
  ChoicePaths choices;
  std::optional<RecordPath> gold, labels, id;
  std::vector<std::string> label_names;
  int64_t gold_base = 0;
  std::string gold_file;
  std::optional<TextTemplate> context, choice, continuation;

  template <class V>
  void Fields(V&& field) {
    field("name", name, "name of the form in messages");
    field("fields", fields, "names for templates, each with the path that it stands for");
    field("choices", choices, "path to the list of choices, or one path per choice");
    field("gold", gold, "path to the right choice: its index, or its label if there are labels");
    field("gold_base", gold_base, "the index of the first choice", Range{0, 1});
    field("labels", labels, "path to the labels of the choices");
    field("label_names", label_names, "labels of the choices, if records do not have them");
    field("gold_file", gold_file,
          "file with the right choice of each record, one per line, in the same folder; {stem} "
          "stands for the name of the records' file");
    field("id", id, "path to the id of the record");
    field("context", context, "instead of the task's context");
    field("choice", choice, "instead of the task's choice");
    field("continuation", continuation, "instead of the task's continuation");
  }
};

struct TaskSpec {
  std::string description;
  int64_t version = 1;
  std::string split;
  std::optional<int64_t> documents, requests;
  std::vector<TaskMetric> metrics;
  TaskKind kind = TaskKind::kMultipleChoice;
  CorpusLocation location = CorpusLocation::kData;
  std::vector<std::string> files, sha256;
  std::string requests_sha256;
  TextTemplate context, continuation;
  TextTemplate choice = TextTemplate::Parse("{choice}");
  std::vector<TaskFilter> context_filters;
  std::string delimiter = " ";
  std::vector<std::string> fixed_choices;
  bool allow_empty_choices = false;
  std::vector<TaskForm> forms;
  std::string hint;

  template <class V>
  void Fields(V&& field) {
    field("description", description, "one-line description");
    field("version", version, "raised when its requests change", Range::AtLeast(1));
    field("split", split, "part of the data set that is evaluated");
    field("documents", documents, "number of documents in the whole file", Range::AtLeast(1));
    field("requests", requests, "number of requests of the whole file", Range::AtLeast(1));
    field("metrics", metrics, "reported metrics, the main one first", Required{}, NonEmpty{});
    field("kind", kind, "how a document becomes requests", Required{});
    field("location", location, "the user's data folders, or files that ship with the program");
    field("files", files, "alternative names of the file, relative to a data folder", Required{},
          NonEmpty{});
    field("sha256", sha256, "digests of the original files");
    field("requests_sha256", requests_sha256, "digest of all requests of the original file");
    field("context", context, "template of the context");
    field("context_filters", context_filters, "applied to the finished context, in this order");
    field("choice", choice, "template of a choice; {choice} is its text in the record");
    field("continuation", continuation, "template of the continuation that options share");
    field("delimiter", delimiter, "put in front of every continuation");
    field("fixed_choices", fixed_choices, "choices of every document, if records have none");
    field("allow_empty_choices", allow_empty_choices,
          "score a choice without text as the harness does, instead of refusing it");
    field("forms", forms, "formats of records; the first that fits is used", Required{},
          NonEmpty{});
    field("hint", hint, "added to the message about a record that fits no form");
  }
  void Validate(const Node& at, Problems& problems) const;
};

// ConfigError for an unknown name, with the nearest, or a faulty file.
TaskSpec ReadTaskSpec(std::string_view name);
TaskSpec ReadTaskSpec(const Node& tree);

// Digest of what determines requests and metrics; names of files, descriptions and counts do not
// enter.
std::string DefinitionSha256(const TaskSpec& spec);

}  // namespace condense
