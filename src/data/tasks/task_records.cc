#include "data/tasks/task_records.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "data/tasks/task_files.h"
#include "data/text/python_text.h"

namespace condense {
namespace {

using nlohmann::json;

std::vector<std::string> Keys(const json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

// "question, choices {label, text}, answerKey"
std::string DescribeKeys(const json& record) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : record.items()) {
    const json& inner = value.is_array() && !value.empty() ? value.front() : value;
    std::string part = key;
    if (value.is_array()) part += "[]";
    if (inner.is_object()) part += " {" + Join(Keys(inner), ", ") + "}";
    parts.push_back(std::move(part));
  }
  return parts.empty() ? "none" : Join(parts, ", ");
}

// Why the record does not have `path`, e.g. "lacks gold (is 'gld' meant?)".
std::string Lack(const json& record, const RecordPath& path) {
  const json* value = &record;
  std::string place;
  for (const RecordPath::Step& step : path.steps()) {
    if (!value->is_object()) {
      return fmt::format("lacks {}: {} is of type {}, not object", path.place(), place,
                         value->type_name());
    }
    const auto found = value->find(step.key);
    if (found == value->end()) {
      const auto near = NearestName(step.key, Keys(*value));
      return fmt::format("lacks {}{}", path.place(),
                         near ? fmt::format(" (is '{}' meant?)", *near) : "");
    }
    place += (place.empty() ? "" : ".") + step.key;
    value = &*found;
    if (!step.each) continue;
    if (!value->is_array()) {
      return fmt::format("lacks {}: {} is of type {}, not array", path.place(), place,
                         value->type_name());
    }
    if (value->empty()) break;
    value = &value->front();
    place += "[]";
  }
  return fmt::format("lacks {} in some element", path.place());
}

std::string PathList(const std::vector<RecordPath>& paths) {
  std::vector<std::string> names;
  for (const RecordPath& path : paths) names.push_back(path.place());
  return Join(names, ", ");
}

std::optional<int64_t> WholeNumber(std::string_view text) {
  if (text == "false") return 0;
  if (text == "true") return 1;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void AddNeed(const RecordPath& path, std::vector<RecordPath>& needs) {
  const bool known = std::any_of(needs.begin(), needs.end(), [&](const RecordPath& need) {
    return need.place() == path.place();
  });
  if (!path.empty() && path.place() != kChoiceName && !known) needs.push_back(path);
}

std::string RequestsDigest(const std::vector<Request>& requests) {
  Sha256 hash;
  for (const Request& request : requests) {
    hash.Update(request.context).Update("\0", 1).Update(request.continuation).Update("\0", 1);
  }
  return hash.Finish();
}

}  // namespace

TaskRecordReader::TaskRecordReader(const TaskSpec& spec, std::string task,
                                   std::filesystem::path file)
    : spec_(spec), task_(std::move(task)), file_(std::move(file)) {
  for (size_t i = 0; i < spec.forms.size(); ++i) forms_.push_back(Prepared(spec.forms[i], i + 1));
}

TaskRecordReader::Form TaskRecordReader::Prepared(const TaskForm& source, size_t number) const {
  Form form{&source, source.name.empty() ? fmt::format("{}", number) : source.name};
  form.context = (source.context ? *source.context : spec_.context).Resolved(source.fields);
  form.choice = (source.choice ? *source.choice : spec_.choice).Resolved(source.fields);
  form.continuation =
      (source.continuation ? *source.continuation : spec_.continuation).Resolved(source.fields);
  for (const TextTemplate* text : {&form.context, &form.choice, &form.continuation}) {
    for (const TextTemplate::Part& part : text->parts()) AddNeed(part.value, form.needs);
  }
  for (const RecordPath& path : source.choices.paths) AddNeed(path, form.needs);
  if (source.labels) AddNeed(*source.labels, form.needs);
  if (source.gold) AddNeed(*source.gold, form.needs);
  return form;
}

TaskRecordReader::Form& TaskRecordReader::FormOf(const Placed& placed) {
  for (Form& form : forms_) {
    if (std::all_of(form.needs.begin(), form.needs.end(),
                    [&](const RecordPath& path) { return path.FitsRecord(placed.record); })) {
      return form;
    }
  }
  RefuseRecord(placed);
}

void TaskRecordReader::RefuseRecord(const Placed& placed) const {
  std::string message = fmt::format("{}: the record fits no form of task {}; its keys are: {}",
                                    placed.place, task_, DescribeKeys(placed.record));
  for (const Form& form : forms_) {
    std::vector<std::string> lacks;
    for (const RecordPath& path : form.needs) {
      if (!path.FitsRecord(placed.record)) lacks.push_back(Lack(placed.record, path));
    }
    message += fmt::format("\n  form {} needs {}; the record {}", form.name, PathList(form.needs),
                           Join(lacks, ", "));
  }
  if (!spec_.hint.empty()) message += "\n  " + spec_.hint;
  throw DataError(message);
}

std::vector<std::string> TaskRecordReader::Choices(const Form& form, const Placed& placed) const {
  const auto& [record, place, index] = placed;
  std::vector<std::string> choices = spec_.fixed_choices;
  for (const RecordPath& path : form.source->choices.paths) {
    for (std::string& text : path.Texts(record, place)) choices.push_back(std::move(text));
  }
  if (choices.empty()) {
    throw MakeError<DataError>("{}: no choices in {}; expected at least one", place,
                               PathList(form.source->choices.paths));
  }
  for (size_t i = 0; i < choices.size(); ++i) {
    if (spec_.kind == TaskKind::kMultipleChoice) {
      choices[i] = form.choice.Render(record, choices[i], place);
    }
    if (spec_.allow_empty_choices || !IsPythonBlank(choices[i])) continue;
    throw MakeError<DataError>(
        "{}: choice {} of {} is empty, so there is nothing to score; correct the record, or set "
        "allow_empty_choices in the task's definition to score it as the harness does",
        place, i + 1, choices.size());
  }
  return choices;
}

std::vector<std::string> TaskRecordReader::ReadLabels(const Form& form,
                                                      const Placed& placed) const {
  const std::filesystem::path path = LabelFile(*form.source, file_);
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) {
    throw MakeError<DataError>(
        "{}: form {} of task {} takes the right choices from {}, which is missing; add that "
        "file. The record's keys are: {}",
        placed.place, form.name, task_, path.string(), DescribeKeys(placed.record));
  }
  std::vector<std::string> lines = Split(ReadFile(path), '\n');
  while (!lines.empty() && Trim(lines.back()).empty()) lines.pop_back();
  return lines;
}

void TaskRecordReader::CheckLabelFiles(int64_t records, bool limited) const {
  for (const Form& form : forms_) {
    if (!form.label_lines) continue;
    const auto lines = static_cast<int64_t>(form.label_lines->size());
    if (lines == records || (limited && lines > records)) continue;
    throw MakeError<DataError>(
        "{}: has {} lines, but {} has {} records; they do not belong together",
        LabelFile(*form.source, file_).string(), lines, file_.string(), records);
  }
}

std::string TaskRecordReader::GoldText(Form& form, const Placed& placed) const {
  if (form.source->gold) return form.source->gold->Text(placed.record, placed.place);
  if (!form.label_lines) form.label_lines = ReadLabels(form, placed);
  if (placed.index >= static_cast<int64_t>(form.label_lines->size())) {
    throw MakeError<DataError>(
        "{}: has {} lines, but {} has more records; they do not belong together",
        LabelFile(*form.source, file_).string(), form.label_lines->size(), file_.string());
  }
  return std::string(Trim((*form.label_lines)[static_cast<size_t>(placed.index)]));
}

int64_t TaskRecordReader::Gold(Form& form, const Placed& placed, size_t choices) const {
  const auto& [record, place, index] = placed;
  const std::string text = GoldText(form, placed);
  const std::string source = form.source->gold ? form.source->gold->place()
                                               : LabelFile(*form.source, file_).filename().string();
  std::vector<std::string> labels = form.source->label_names;
  if (form.source->labels) labels = form.source->labels->Texts(record, place);
  if (!labels.empty() || form.source->labels) {
    if (form.source->labels && labels.size() != choices) {
      throw MakeError<DataError>("{}: {} labels for {} choices", place, labels.size(), choices);
    }
    const auto found = std::find(labels.begin(), labels.end(), text);
    const auto gold = static_cast<size_t>(found - labels.begin());
    if (found != labels.end() && gold < choices) return static_cast<int64_t>(gold);
    throw MakeError<DataError>("{}: {} is '{}'; the {} choices have the labels {}", place, source,
                               text, choices, Join(labels, ", "));
  }
  const int64_t base = form.source->gold_base;
  const std::optional<int64_t> number = WholeNumber(text);
  if (number && *number >= base && *number - base < static_cast<int64_t>(choices)) {
    return *number - base;
  }
  throw MakeError<DataError>(
      "{}: {} is '{}', outside the {} choices; expected {} to {}{}", place, source, text, choices,
      base, static_cast<int64_t>(choices) + base - 1,
      text == "-1" || text.empty() ? " (is this a split without answers?)" : "");
}

std::string TaskRecordReader::Context(const Form& form, const Placed& placed,
                                      const std::string& choice) const {
  std::string context = form.context.Render(placed.record, choice, placed.place);
  for (const TaskFilter filter : spec_.context_filters) context = ApplyFilter(filter, context);
  return context;
}

TaskRecordReader::Document TaskRecordReader::Read(const json& record, const std::string& place,
                                                  int64_t index) {
  const Placed placed{record, place, index};
  Form& form = FormOf(placed);
  Document read;
  TaskDocument& document = read.document;
  document.index = index;
  const auto add = [&](std::string context, const std::string& text) {
    document.requests.push_back({std::move(context), spec_.delimiter + text, place});
    document.code_points.push_back(static_cast<int64_t>(CodePointCount(text)));
    document.bytes.push_back(static_cast<int64_t>(text.size()));
  };
  std::string continuation;
  if (spec_.kind != TaskKind::kMultipleChoice) {
    continuation = form.continuation.Render(record, "", place);
    if (IsPythonBlank(continuation)) {
      throw MakeError<DataError>(
          "{}: the continuation is empty, so there is nothing to score; correct or remove the "
          "record",
          place);
    }
  }
  if (spec_.kind == TaskKind::kLastWord) {
    add(Context(form, placed, ""), continuation);
  } else {
    const std::vector<std::string> choices = Choices(form, placed);
    document.gold = Gold(form, placed, choices.size());
    const bool options = spec_.kind == TaskKind::kContextOptions;
    const std::string context = options ? "" : Context(form, placed, "");
    for (const std::string& choice : choices) {
      add(options ? Context(form, placed, choice) : context, options ? continuation : choice);
    }
  }
  document.sha256 = RequestsDigest(document.requests);
  const auto& id = form.source->id;
  if (id && id->FitsRecord(record)) read.id = id->Text(record, place);
  return read;
}

}  // namespace condense
