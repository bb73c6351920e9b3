#include "experiment/tables.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "config/paths.h"
#include "experiment/cell_records.h"
#include "report/measurements.h"
#include "report/render.h"

namespace condense {
namespace {

const MetricValue* FindValue(const Measurement& measurement, const std::string& protocol,
                             const std::string& metric) {
  for (const MetricValue& value : measurement.values) {
    if (value.protocol == protocol && value.metric == metric) return &value;
  }
  return nullptr;
}

// "removes 16.7%, not 10.0%", or nothing where the ratio was met.
std::string DeviationNote(const Measurement& measurement) {
  const MetricValue* deviation = FindValue(measurement, kParameters.id, "deviation");
  const auto ratio = measurement.keys.find("ratio");
  if (deviation == nullptr || ratio == measurement.keys.end()) return "";
  if (std::abs(deviation->value) <= kMatchTolerance) return "";
  const double asked = std::stod(ratio->second);
  return fmt::format("removes {:.1f}%, not {:.1f}%", 100 * (asked + deviation->value), 100 * asked);
}

std::string MarkFor(Table& table, const std::string& text) {
  for (const auto& [mark, known] : table.footnotes) {
    if (known == text) return mark;
  }
  const size_t n = table.footnotes.size();
  std::string mark(1, static_cast<char>('a' + n % 26));
  if (n >= 26) mark += std::to_string(n / 26);
  table.footnotes.emplace_back(mark, text);
  return mark;
}

void MarkDeviations(const std::vector<Measurement>& measurements, Table& table) {
  std::map<std::string, std::string> notes;
  for (const Measurement& measurement : measurements) {
    const std::string note = DeviationNote(measurement);
    if (!note.empty()) notes[measurement.id] = note;
  }
  for (TableRow& row : table.rows) {
    for (TableCell& cell : row.cells) {
      if (cell.state != TableCell::State::kValue || !cell.mark.empty() || cell.ids.empty())
        continue;
      const auto note = notes.find(cell.ids.front());
      if (note != notes.end()) cell.mark = MarkFor(table, note->second);
    }
  }
}

}  // namespace

ExperimentRecord StoredExperiment(const ExperimentSpec& spec, const ResultsStore& store) {
  for (const ExperimentRecord& experiment : store.ListExperiments()) {
    if (experiment.name == spec.name && experiment.profile == spec.profile &&
        experiment.spec == spec.canonical) {
      return experiment;
    }
  }
  const auto last = store.FindExperiment(spec.name, spec.profile);
  const std::string profile =
      spec.profile.empty() ? "" : fmt::format(", profile {},", spec.profile);
  if (!last) {
    throw MakeError<ConfigError>("{}: holds no results of experiment {}{}; run it first: runner {}",
                                 store.path().string(), spec.name, profile, spec.file.string());
  }
  LogWarning("{}{} has changed since it was run; this is the table of its last run", spec.name,
             profile);
  return *last;
}

Table ExperimentTableOf(const ExperimentSpec& spec, const ResultsStore& store, int64_t experiment) {
  TableSpec layout = spec.table;
  for (const ModelRef& model : spec.models) {
    if (!model.folder.empty()) continue;
    const auto settings =
        ReadStruct<ModelSettings>(Node::ParseFile(NamedConfig("models", model.name)));
    layout.labels.emplace(model.name, settings.title);
  }
  const std::vector<Measurement> measurements = MeasurementsOf(store, experiment);
  Table table = BuildTable(layout, measurements);
  MarkDeviations(measurements, table);
  return table;
}

void WriteTables(const Table& table, const std::filesystem::path& folder, const std::string& name) {
  MakeFolder(folder);
  WriteFileAtomically(folder / (name + ".md"), ToMarkdown(table));
  WriteFileAtomically(folder / (name + ".tex"), ToLatex(table));
  WriteFileAtomically(folder / (name + ".csv"), ToCsv(table));
}

}  // namespace condense
