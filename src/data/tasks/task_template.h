// How a task definition refers to the values of a record: by paths into the record, filters that
// change the values, and templates that insert them into text.
//
//   question.choices[].text|strip     a path: keys, `[]` for each element of a list, then filters
//   Question: {question}\nAnswer:     a template: paths in braces; {{ and }} stand for braces
//
// task_filters.h lists the filters.
#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.h"
#include "data/tasks/task_filters.h"

namespace condense {

class RecordPath {
 public:
  struct Step {
    std::string key;
    bool each = false;  // followed by []
  };

  RecordPath() = default;
  // ConfigError that says what is wrong with the text.
  static RecordPath Parse(std::string_view text);

  const std::string& text() const { return text_; }    // as written
  const std::string& place() const { return place_; }  // without the filters
  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<TaskFilter>& filters() const { return filters_; }
  bool empty() const { return steps_.empty(); }
  bool MakesList() const;  // by [] or by a filter

  // Whether the record has the keys and lists, whatever the values are.
  bool FitsRecord(const nlohmann::json& record) const;
  // The filtered texts; one unless MakesList(). Numbers without fraction and booleans count as
  // text. DataError, beginning with `where`, for a value of another kind.
  std::vector<std::string> Texts(const nlohmann::json& record, const std::string& where) const;
  std::string Text(const nlohmann::json& record, const std::string& where) const;

 private:
  std::string text_, place_;
  std::vector<Step> steps_;
  std::vector<TaskFilter> filters_;
};

// Names that a form gives to paths of its records.
using RecordNames = std::map<std::string, RecordPath>;

class TextTemplate {
 public:
  struct Part {
    std::string literal;
    RecordPath value;  // empty: only the literal
  };

  TextTemplate() = default;
  static TextTemplate Parse(std::string_view text);  // ConfigError

  const std::string& text() const { return text_; }
  const std::vector<Part>& parts() const { return parts_; }
  bool Uses(std::string_view name) const;

  // With every name of `names` replaced by its path; filters of the template are applied last.
  TextTemplate Resolved(const RecordNames& names) const;
  // `choice` stands for {choice}.
  std::string Render(const nlohmann::json& record, const std::string& choice,
                     const std::string& where) const;

 private:
  std::string text_;
  std::vector<Part> parts_;
};

// The name that stands for the current choice in templates.
inline constexpr std::string_view kChoiceName = "choice";

template <>
struct FieldType<RecordPath> {
  static void Read(const Node& node, RecordPath& value, Problems& problems);
  static std::string Canonical(const RecordPath& value) { return JsonString(value.text()); }
  static std::string TypeName() { return "path in a record"; }
};
template <>
struct FieldType<TextTemplate> {
  static void Read(const Node& node, TextTemplate& value, Problems& problems);
  static std::string Canonical(const TextTemplate& value) { return JsonString(value.text()); }
  static std::string TypeName() { return "template"; }
};

}  // namespace condense
