#include "data/tasks/task_definition.h"

#include <algorithm>

#include "base/error.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "config/paths.h"

namespace condense {
namespace {

bool TakesNoChoice(TaskMetric metric) {
  return metric == TaskMetric::kGreedy || metric == TaskMetric::kPerplexity;
}

bool IsDigest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

// Checks one form against the task that it belongs to.
class FormChecker {
 public:
  FormChecker(const TaskSpec& task, const TaskForm& form, const Node& at, Problems& problems)
      : task_(task), form_(form), at_(at), problems_(problems) {}

  void Check() {
    CheckPaths();
    if (task_.kind == TaskKind::kLastWord) {
      Require(form_.choices.paths.empty() && !form_.gold && form_.gold_file.empty() &&
                  !form_.labels && form_.label_names.empty(),
              "a task of kind last-word has no choices, labels and gold");
    } else {
      CheckChoices();
    }
    CheckTemplates();
  }

 private:
  void Require(bool condition, std::string_view message) {
    if (!condition) problems_.Add(at_, std::string(message));
  }

  void CheckPaths() {
    const auto single = [&](const std::optional<RecordPath>& path, std::string_view key) {
      Require(!path || !path->MakesList(), fmt::format("{}: expected one value, not a list", key));
    };
    single(form_.gold, "gold");
    single(form_.id, "id");
    Require(!form_.labels || form_.labels->MakesList(),
            "labels: expected a path to a list, with [] behind it");
    for (const auto& [name, path] : form_.fields) {
      single(path, "fields." + name);
      Require(name != kChoiceName, "fields: the name 'choice' is taken");
    }
  }

  void CheckChoices() {
    const auto& paths = form_.choices.paths;
    Require(paths.empty() != task_.fixed_choices.empty(),
            "give choices in every form, or fixed_choices for the task");
    const auto lists = std::count_if(paths.begin(), paths.end(),
                                     [](const RecordPath& path) { return path.MakesList(); });
    Require(lists == (paths.size() == 1 ? 1 : 0),
            "choices: expected one path to a list, with [] behind it, or a list of paths, each to "
            "one choice");
    Require(form_.gold.has_value() == form_.gold_file.empty(),
            "give the right choice with one of gold and gold_file");
    Require(!form_.labels || form_.label_names.empty(), "give one of labels and label_names");
    const bool labelled = form_.labels || !form_.label_names.empty();
    Require(!labelled || form_.gold_base == 0, "gold_base is for an index, but gold is a label");
  }

  void CheckTemplates() {
    const TextTemplate& context = form_.context ? *form_.context : task_.context;
    const TextTemplate& continuation =
        form_.continuation ? *form_.continuation : task_.continuation;
    const bool options = task_.kind == TaskKind::kContextOptions;
    const bool choice_template = form_.choice || task_.choice.text() != "{choice}";
    Require(!context.parts().empty(), "the context is missing, here or for the task");
    Require(context.Uses(kChoiceName) == options,
            options ? "context: the options differ in it, so it has to hold {choice}"
                    : "context: {choice} cannot stand in it in this kind of task");
    Require(!continuation.Uses(kChoiceName), "continuation: {choice} cannot stand in it");
    if (task_.kind == TaskKind::kMultipleChoice) {
      Require(continuation.parts().empty(),
              "continuation: each choice is a continuation in this kind of task; use choice");
    } else {
      Require(!continuation.parts().empty(), "the continuation is missing, here or for the task");
      Require(!choice_template, "choice: only tasks of kind multiple-choice have this template");
    }
  }

  const TaskSpec& task_;
  const TaskForm& form_;
  const Node& at_;
  Problems& problems_;
};

}  // namespace

void TaskSpec::Validate(const Node& at, Problems& problems) const {
  for (const TaskMetric metric : metrics) {
    if (TakesNoChoice(metric) == (kind == TaskKind::kLastWord)) continue;
    problems.Add(*at.Find("metrics"), fmt::format("{} is not a metric of tasks of kind {}",
                                                  EnumName(metric), EnumName(kind)));
  }
  if (kind == TaskKind::kLastWord && !fixed_choices.empty()) {
    problems.Add(at, "fixed_choices: a task of kind last-word has no choices");
  }
  for (const TaskFilter filter : context_filters) {
    if (!MakesList(filter)) continue;
    problems.Add(at, fmt::format("context_filters: '{}' gives a list", EnumName(filter)));
  }
  for (const std::string& digest : sha256) {
    if (!IsDigest(digest)) {
      problems.Add(at,
                   fmt::format("sha256: '{}' is not 64 hexadecimal digits, lower case", digest));
    }
  }
  if (!requests_sha256.empty() && !IsDigest(requests_sha256)) {
    problems.Add(at, "requests_sha256: expected 64 hexadecimal digits, lower case");
  }
  for (size_t i = 0; i < forms.size(); ++i) {
    FormChecker(*this, forms[i], at.Find("forms")->items()[i], problems).Check();
  }
}

TaskSpec ReadTaskSpec(const Node& tree) { return ReadStruct<TaskSpec>(tree); }

TaskSpec ReadTaskSpec(std::string_view name) {
  return ReadTaskSpec(Node::ParseFile(NamedConfig("tasks", name)));
}

std::string DefinitionSha256(const TaskSpec& spec) {
  TaskSpec essence = spec;
  essence.description = essence.hint = essence.requests_sha256 = "";
  essence.documents = essence.requests = std::nullopt;
  essence.files.clear();
  essence.sha256.clear();
  essence.location = CorpusLocation::kData;
  for (TaskForm& form : essence.forms) form.name = "";
  return Sha256Hex(CanonicalText(essence));
}

}  // namespace condense
