// Reads configs/published; the meaning of its columns is in its README.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "base/strings.h"
#include "report/csv.h"
#include "report/published.h"

namespace condense {
namespace {

std::optional<double> NumberIn(const CsvTable& csv, size_t row, const char* column) {
  const std::string& text = csv.Field(row, column);
  if (text.empty()) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return value;
  throw MakeError<DataError>("{}: {}: '{}' is not a number", csv.Place(row), column, text);
}

// Their names have a hyphen where ours have an underscore.
std::string OwnMethod(std::string method) {
  std::replace(method.begin(), method.end(), '-', '_');
  return method;
}

// Means that share a name but not the tasks or their metrics.
std::string OwnMean(const std::string& task, const std::string& paper, const std::string& note) {
  const bool uniql_map = paper == "uniql" || note.find("not the SliceGPT map") != std::string::npos;
  if (task == "mean5" && uniql_map) return "mean5-uniql";
  if (task == "mean7" && paper != "fang" && paper != "llm-pruner") return "mean7 of " + paper;
  return task;
}

bool IsUsable(const CsvTable& csv, size_t row) {
  const std::string& confidence = csv.Field(row, "confidence");
  const std::vector<std::string> known = {"seen", "recalled", "weak"};
  if (std::find(known.begin(), known.end(), confidence) == known.end()) {
    throw MakeError<DataError>("{}: confidence: unknown '{}'{}", csv.Place(row), confidence,
                               SuggestName(confidence, known));
  }
  return confidence != "weak" && csv.Field(row, "note").find("do not use") == std::string::npos;
}

PublishedValue ValueOf(const CsvTable& csv, size_t row) {
  const std::string paper = csv.Field(row, "paper"), table = csv.Field(row, "table");
  PublishedValue value{.place = csv.Place(row),
                       .source = table.empty() ? paper : paper + ", " + table,
                       .model = csv.Field(row, "model"),
                       .method = OwnMethod(csv.Field(row, "method")),
                       .ratio = NumberIn(csv, row, "ratio"),
                       .ratio_kind = csv.Field(row, "ratio_kind"),
                       .metric = "perplexity",
                       .protocol = csv.Field(row, "protocol"),
                       .calibration = csv.Field(row, "calibration"),
                       .value = NumberIn(csv, row, "value"),
                       .recalled = csv.Field(row, "confidence") == "recalled",
                       .note = csv.Field(row, "note")};
  if (!value.value && value.note.find("overflow") == std::string::npos) {
    throw MakeError<DataError>("{}: value: is missing", csv.Place(row));
  }
  if (!csv.HasColumn("task")) return value;
  value.metric = csv.Field(row, "metric");
  value.task = OwnMean(csv.Field(row, "task"), paper, value.note);
  if (value.metric == "perplexity") {
    value.metric = "ppl";
  } else if (value.value) {
    *value.value /= 100;
  }
  return value;
}

Tolerance ToleranceOf(const CsvTable& csv, size_t row) {
  return {.model = csv.Field(row, "model"),
          .method = csv.Field(row, "method"),
          .metric = csv.Field(row, "metric"),
          .task = csv.Field(row, "task"),
          .protocol = csv.Field(row, "protocol"),
          .calibration = csv.Field(row, "calibration"),
          .ratio = NumberIn(csv, row, "ratio"),
          .relative = NumberIn(csv, row, "relative").value_or(0),
          .absolute = NumberIn(csv, row, "absolute").value_or(0)};
}

}  // namespace

PublishedData ReadPublished(const std::filesystem::path& folder) {
  PublishedData data;
  for (const char* name : {"perplexity.csv", "zero_shot.csv"}) {
    const CsvTable csv(ReadFile(folder / name), name);
    for (size_t row = 0; row < csv.size(); ++row) {
      if (IsUsable(csv, row)) data.values.push_back(ValueOf(csv, row));
    }
  }
  const CsvTable csv(ReadFile(folder / "tolerances.csv"), "tolerances.csv");
  for (size_t row = 0; row < csv.size(); ++row) data.tolerances.push_back(ToleranceOf(csv, row));
  return data;
}

}  // namespace condense
