#include "data/tasks/task_template.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

using nlohmann::json;

constexpr std::string_view kEach = "[]";

RecordPath::Step ParseStep(std::string_view text, std::string_view path) {
  RecordPath::Step step;
  if (EndsWith(text, kEach)) {
    step.each = true;
    text.remove_suffix(kEach.size());
  }
  if (text.empty() || text.find_first_of("[]{}") != text.npos) {
    throw MakeError<ConfigError>(
        "'{}' is not a path in a record; expected keys joined by '.', with [] behind a list, such "
        "as question.choices[].text",
        path);
  }
  step.key = text;
  return step;
}

TaskFilter ParseFilter(std::string_view name) {
  for (const auto& [filter, known] : EnumNames<TaskFilter>::names) {
    if (name == known) return filter;
  }
  throw MakeError<ConfigError>("unknown filter '{}'{}", name,
                               SuggestName(name, EnumChoices<TaskFilter>()));
}

void CheckFilters(const std::vector<TaskFilter>& filters, std::string_view path) {
  for (size_t i = 0; i + 1 < filters.size(); ++i) {
    if (MakesList(filters[i])) {
      throw MakeError<ConfigError>("'{}': filter '{}' gives a list and has to be the last", path,
                                   EnumName(filters[i]));
    }
  }
}

bool Fits(const json& value, const std::vector<RecordPath::Step>& steps, size_t from) {
  if (from == steps.size()) return true;
  const auto found = value.is_object() ? value.find(steps[from].key) : value.end();
  if (!value.is_object() || found == value.end()) return false;
  if (!steps[from].each) return Fits(*found, steps, from + 1);
  return found->is_array() && std::all_of(found->begin(), found->end(), [&](const json& element) {
           return Fits(element, steps, from + 1);
         });
}

void Collect(const json& value, const std::vector<RecordPath::Step>& steps, size_t from,
             std::vector<const json*>& out) {
  if (from == steps.size()) {
    out.push_back(&value);
    return;
  }
  const json& inner = value.at(steps[from].key);
  if (!steps[from].each) return Collect(inner, steps, from + 1, out);
  for (const json& element : inner) Collect(element, steps, from + 1, out);
}

std::string ScalarText(const json& value, const RecordPath& path, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer() || value.is_boolean()) return value.dump();
  const bool none = value.is_null() || value.is_array() || value.is_object();
  throw MakeError<DataError>("{}: {} is {}; expected text{}", where, path.place(),
                             none ? value.type_name() : value.dump(),
                             none ? "" : " (write the number in quotes, as it should be read)");
}

}  // namespace

RecordPath RecordPath::Parse(std::string_view text) {
  RecordPath path;
  path.text_ = text;
  std::vector<std::string> pieces = Split(text, '|');
  path.place_ = Trim(pieces.front());
  for (const std::string& step : Split(path.place_, '.')) {
    path.steps_.push_back(ParseStep(step, text));
  }
  for (size_t i = 1; i < pieces.size(); ++i) path.filters_.push_back(ParseFilter(Trim(pieces[i])));
  CheckFilters(path.filters_, text);
  return path;
}

bool RecordPath::MakesList() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) { return step.each; }) ||
         (!filters_.empty() && condense::MakesList(filters_.back()));
}

bool RecordPath::FitsRecord(const json& record) const { return Fits(record, steps_, 0); }

std::vector<std::string> RecordPath::Texts(const json& record, const std::string& where) const {
  std::vector<const json*> values;
  Collect(record, steps_, 0, values);
  std::vector<std::string> texts;
  for (const json* value : values) texts.push_back(ScalarText(*value, *this, where));
  try {
    for (const TaskFilter filter : filters_) {
      std::vector<std::string> filtered;
      for (const std::string& text : texts) {
        if (condense::MakesList(filter)) {
          for (std::string& part : ApplyListFilter(filter, text)) {
            filtered.push_back(std::move(part));
          }
        } else {
          filtered.push_back(ApplyFilter(filter, text));
        }
      }
      texts = std::move(filtered);
    }
  } catch (const DataError& error) {
    throw MakeError<DataError>("{}: {}: {}", where, place_, error.what());
  }
  return texts;
}

std::string RecordPath::Text(const json& record, const std::string& where) const {
  CONDENSE_CHECK(!MakesList(), "{} gives a list", text_);
  return Texts(record, where).front();
}

TextTemplate TextTemplate::Parse(std::string_view text) {
  TextTemplate result;
  result.text_ = text;
  Part part;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if ((c == '{' || c == '}') && text.substr(i + 1, 1) == text.substr(i, 1)) {
      part.literal += c;
      i += 2;
    } else if (c == '{') {
      const size_t end = text.find('}', i);
      if (end == text.npos) {
        throw MakeError<ConfigError>(
            "'{{' at byte {} of the template is not closed; a brace that is meant as text is "
            "written twice",
            i);
      }
      part.value = RecordPath::Parse(text.substr(i + 1, end - i - 1));
      if (part.value.MakesList()) {
        throw MakeError<ConfigError>("{{{}}} gives a list; only one text can stand in a template",
                                     part.value.text());
      }
      result.parts_.push_back(std::move(part));
      part = {};
      i = end + 1;
    } else if (c == '}') {
      throw MakeError<ConfigError>(
          "'}}' at byte {} of the template closes nothing; a brace that is meant as text is "
          "written twice",
          i);
    } else {
      part.literal += c;
      ++i;
    }
  }
  if (!part.literal.empty()) result.parts_.push_back(std::move(part));
  return result;
}

bool TextTemplate::Uses(std::string_view name) const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [&](const Part& part) { return part.value.place() == name; });
}

TextTemplate TextTemplate::Resolved(const RecordNames& names) const {
  TextTemplate result = *this;
  for (Part& part : result.parts_) {
    const auto found = names.find(part.value.place());
    if (found == names.end()) continue;
    // The filters of the name come first: they are part of what it stands for.
    std::string path = found->second.text();
    for (const TaskFilter filter : part.value.filters()) path.append("|").append(EnumName(filter));
    part.value = RecordPath::Parse(path);
  }
  return result;
}

std::string TextTemplate::Render(const json& record, const std::string& choice,
                                 const std::string& where) const {
  std::string out;
  for (const Part& part : parts_) {
    out += part.literal;
    if (part.value.empty()) continue;
    if (part.value.place() != kChoiceName) {
      out += part.value.Text(record, where);
      continue;
    }
    std::string text = choice;
    for (const TaskFilter filter : part.value.filters()) text = ApplyFilter(filter, text);
    out += text;
  }
  return out;
}

void FieldType<RecordPath>::Read(const Node& node, RecordPath& value, Problems& problems) {
  const auto text = ReadString(node, problems);
  if (!text) return;
  try {
    value = RecordPath::Parse(*text);
  } catch (const ConfigError& error) {
    problems.Add(node, error.what());
  }
}

void FieldType<TextTemplate>::Read(const Node& node, TextTemplate& value, Problems& problems) {
  const auto text = ReadString(node, problems);
  if (!text) return;
  try {
    value = TextTemplate::Parse(*text);
  } catch (const ConfigError& error) {
    problems.Add(node, error.what());
  }
}

}  // namespace condense
