// Turns the records of a task's file into documents, by the forms that its definition lists.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/tasks/task.h"
#include "data/tasks/task_definition.h"

namespace condense {

class TaskRecordReader {
 public:
  // `task` and `file` are for messages, and to find the files of labels beside it.
  TaskRecordReader(const TaskSpec& spec, std::string task, std::filesystem::path file);

  struct Document {
    TaskDocument document;
    std::string id;  // empty where the form or the record has none
  };
  // DataError, beginning with `place`, for a record that fits no form or breaks its rules.
  Document Read(const nlohmann::json& record, const std::string& place, int64_t index);
  // DataError when a file of labels does not have one line per record; with `limited`, when it has
  // fewer lines than records.
  void CheckLabelFiles(int64_t records, bool limited) const;

 private:
  struct Form {
    const TaskForm* source;
    std::string name;
    TextTemplate context, choice, continuation;  // names replaced by paths
    std::vector<RecordPath> needs;
    std::optional<std::vector<std::string>> label_lines;  // of gold_file, once read
  };

  struct Placed {
    const nlohmann::json& record;
    const std::string& place;  // for messages
    int64_t index;
  };

  Form Prepared(const TaskForm& form, size_t number) const;
  Form& FormOf(const Placed& placed);
  [[noreturn]] void RefuseRecord(const Placed& placed) const;
  std::vector<std::string> Choices(const Form& form, const Placed& placed) const;
  std::string GoldText(Form& form, const Placed& placed) const;
  int64_t Gold(Form& form, const Placed& placed, size_t choices) const;
  std::vector<std::string> ReadLabels(const Form& form, const Placed& placed) const;
  std::string Context(const Form& form, const Placed& placed, const std::string& choice) const;

  const TaskSpec& spec_;
  std::string task_;
  std::filesystem::path file_;
  std::vector<Form> forms_;
};

}  // namespace condense
