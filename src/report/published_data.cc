// Reads configs/published; the meaning of its columns is in its README.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "base/strings.h"
#include "report/csv.h"
#include "report/published.h"
#include "stats/means.h"

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

// Published names have hyphens where ours have underscores.
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

// The columns that all files have.
PublishedValue ValueOf(const CsvTable& csv, size_t row) {
  const std::string paper = csv.Field(row, "paper");
  const std::string table = csv.HasColumn("table") ? csv.Field(row, "table") : "";
  PublishedValue value{.place = csv.Place(row),
                       .source = table.empty() ? paper : paper + ", " + table,
                       .model = csv.Field(row, "model"),
                       .method = OwnMethod(csv.Field(row, "method")),
                       .ratio = NumberIn(csv, row, "ratio"),
                       .value = NumberIn(csv, row, "value"),
                       .recalled = csv.Field(row, "confidence") == "recalled",
                       .note = csv.Field(row, "note")};
  if (csv.HasColumn("ratio_kind")) value.ratio_kind = csv.Field(row, "ratio_kind");
  if (csv.HasColumn("protocol")) value.protocol = csv.Field(row, "protocol");
  if (csv.HasColumn("calibration")) value.calibration = csv.Field(row, "calibration");
  if (!value.value && value.note.find("overflow") == std::string::npos) {
    throw MakeError<DataError>("{}: value: is missing", csv.Place(row));
  }
  return value;
}

// Reads a row of one file; none for values that tables cannot show.
using RowReader = std::optional<PublishedValue> (*)(const CsvTable& csv, size_t row);

std::optional<PublishedValue> PerplexityOf(const CsvTable& csv, size_t row) {
  PublishedValue value = ValueOf(csv, row);
  value.metric = "perplexity";
  return value;
}

std::optional<PublishedValue> AccuracyOf(const CsvTable& csv, size_t row) {
  PublishedValue value = ValueOf(csv, row);
  value.metric = csv.Field(row, "metric");
  value.task = OwnMean(csv.Field(row, "task"), csv.Field(row, "paper"), value.note);
  if (value.metric == "perplexity") {
    value.metric = "ppl";
  } else if (value.value) {
    *value.value /= 100;
  }
  return value;
}

std::optional<PublishedValue> AblationOf(const CsvTable& csv, size_t row) {
  const std::string& metric = csv.Field(row, "metric");
  if (metric != "perplexity" && metric != "mean5") return std::nullopt;
  PublishedValue value = ValueOf(csv, row);
  value.ablation = csv.Field(row, "factor") + ": " + csv.Field(row, "level");
  value.metric = metric;
  if (metric == "mean5") {
    value.metric = MeanMetric().name;
    value.task = metric;
    if (value.value) *value.value /= 100;
  }
  return value;
}

std::optional<PublishedValue> CostOf(const CsvTable& csv, size_t row) {
  if (csv.Field(row, "phase") != "total" || csv.Field(row, "quantity") != "wall_time") {
    return std::nullopt;
  }
  PublishedValue value = ValueOf(csv, row);
  value.metric = "total-seconds";
  value.hardware = csv.Field(row, "hardware");
  if (value.hardware.empty()) return std::nullopt;
  const std::string& devices = csv.Field(row, "devices");
  if (!devices.empty()) value.hardware = devices + " " + value.hardware;
  return value;
}

std::optional<PublishedValue> SizeOf(const CsvTable& csv, size_t row) {
  const std::string& quantity = csv.Field(row, "quantity");
  if (quantity != "parameters" && quantity != "macs_relative") return std::nullopt;
  PublishedValue value = ValueOf(csv, row);
  value.relative = quantity == "macs_relative";
  value.metric = value.relative ? "macs" : "parameters";
  // Both are arithmetic, of shapes and of 64 positions (protocols.md 5.7).
  value.protocol = value.relative ? "macs-64" : "parameters";
  if (!value.relative && value.value) *value.value *= 1e9;
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
  const std::pair<const char*, RowReader> files[] = {{"perplexity.csv", PerplexityOf},
                                                     {"zero_shot.csv", AccuracyOf},
                                                     {"ablations.csv", AblationOf},
                                                     {"compression_cost.csv", CostOf},
                                                     {"throughput.csv", SizeOf}};
  for (const auto& [name, read] : files) {
    const CsvTable csv(ReadFile(folder / name), name);
    for (size_t row = 0; row < csv.size(); ++row) {
      if (!IsUsable(csv, row)) continue;
      if (auto value = read(csv, row)) data.values.push_back(*std::move(value));
    }
  }
  const CsvTable csv(ReadFile(folder / "tolerances.csv"), "tolerances.csv");
  for (size_t row = 0; row < csv.size(); ++row) data.tolerances.push_back(ToleranceOf(csv, row));
  return data;
}

}  // namespace condense
