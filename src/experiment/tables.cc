#include "experiment/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "config/paths.h"
#include "experiment/cell_records.h"
#include "report/measurements.h"
#include "report/published.h"
#include "report/render.h"
#include "report/stored_scores.h"

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

// Where a row is one cell of the experiment, the row is marked, else each of its numbers.
void MarkDeviations(const std::vector<Measurement>& measurements, Table& table) {
  std::map<std::string, std::string> notes;
  for (const Measurement& measurement : measurements) {
    const std::string note = DeviationNote(measurement);
    if (!note.empty()) notes[measurement.id] = note;
  }
  for (TableRow& row : table.rows) {
    for (TableCell& cell : row.cells) {
      if (cell.state != TableCell::State::kValue || cell.ids.empty()) continue;
      const auto note = notes.find(cell.ids.front());
      if (note == notes.end()) continue;
      if (!table.column_keys.empty()) {
        AddMark(MarkFor(note->second, table), cell.mark);
      } else if (row.mark.empty()) {
        row.mark = MarkFor(note->second, table);
      }
    }
  }
}

// A key that no cell has, such as the ratio where every method is dense, tells nothing apart.
void DropUnusedKeys(const std::vector<Measurement>& measurements, std::vector<std::string>& keys) {
  std::erase_if(keys, [&](const std::string& key) {
    return std::none_of(measurements.begin(), measurements.end(),
                        [&](const Measurement& m) { return m.keys.contains(key); });
  });
}

// The table's definition with the titles of the models, for the cells there are.
TableSpec LayoutOf(const ExperimentSpec& spec, const std::vector<Measurement>& measurements) {
  TableSpec layout = spec.table;
  layout.labels.merge(ModelTitles(spec));
  DropUnusedKeys(measurements, layout.rows);
  DropUnusedKeys(measurements, layout.columns);
  return layout;
}

bool IsOfSpec(const ExperimentSpec& spec, const ResultsStore& store, int64_t experiment) {
  const std::vector<ExperimentRecord> stored = store.ListExperiments();
  return std::any_of(stored.begin(), stored.end(), [&](const ExperimentRecord& record) {
    return record.id == experiment && record.spec == spec.canonical;
  });
}

// A cell that several experiments share has values that only some of them ask for.
bool IsAskedFor(const std::vector<EvaluationStage>& stages, const MetricValue& value) {
  for (const OwnProtocol& own : {kParameters, kCost, kCalibration, kModuleReport}) {
    if (value.protocol == own.id) return true;
  }
  return std::any_of(stages.begin(), stages.end(), [&](const EvaluationStage& stage) {
    return stage.protocol == value.protocol && (stage.task.empty() || stage.task == value.task);
  });
}

}  // namespace

std::map<std::string, std::string> ModelTitles(const ExperimentSpec& spec) {
  std::map<std::string, std::string> titles;
  for (const ModelRef& model : spec.models) {
    if (!model.folder.empty()) continue;
    const auto settings =
        ReadStruct<ModelSettings>(Node::ParseFile(NamedConfig("models", model.name)));
    titles.emplace(model.name, settings.title);
  }
  return titles;
}

ExperimentRecord StoredExperiment(const ExperimentSpec& spec, const ResultsStore& store) {
  for (const ExperimentRecord& experiment : store.ListExperiments()) {
    if (experiment.name == spec.name && experiment.profile == spec.profile &&
        experiment.spec == spec.canonical) {
      return experiment;
    }
  }
  const auto last = store.FindExperiment(spec.name, spec.profile);
  const std::string name =
      spec.profile.empty() ? spec.name : fmt::format("{} ({})", spec.name, spec.profile);
  if (!last) {
    throw MakeError<ConfigError>("{}: holds no results of experiment {}; run it first: runner {}",
                                 store.path().string(), name, spec.file.string());
  }
  LogWarning("{} has changed since it was run; what is shown is its last run", name);
  return *last;
}

std::vector<Measurement> ExperimentMeasurements(const ExperimentSpec& spec,
                                                const ResultsStore& store, int64_t experiment) {
  std::vector<Measurement> measurements = MeasurementsOf(store, experiment);
  if (!IsOfSpec(spec, store, experiment)) return measurements;
  std::vector<EvaluationStage> stages;
  for (const Component<Evaluator>& evaluator : spec.evaluators) {
    for (EvaluationStage& stage : evaluator->Stages()) stages.push_back(std::move(stage));
  }
  for (Measurement& measurement : measurements) {
    std::erase_if(measurement.values,
                  [&](const MetricValue& value) { return !IsAskedFor(stages, value); });
  }
  return measurements;
}

Table ExperimentTableOf(const ExperimentSpec& spec, const ResultsStore& store, int64_t experiment) {
  const std::vector<Measurement> measurements = ExperimentMeasurements(spec, store, experiment);
  StoredScores scores(store);
  Table table = BuildTable(LayoutOf(spec, measurements), measurements, &scores);
  MarkDeviations(measurements, table);
  if (spec.allow_overlap) table.notes.emplace_back("calibration and evaluated text may overlap");
  return table;
}

std::optional<Table> PublishedTableOf(const ExperimentSpec& spec, const ResultsStore& store,
                                      int64_t experiment) {
  if (!spec.table_entry.published) return std::nullopt;
  const std::vector<Measurement> measurements = ExperimentMeasurements(spec, store, experiment);
  Table table = PublishedTable(BuildTable(LayoutOf(spec, measurements), measurements), measurements,
                               ReadPublished(ConfigFolder() / "published"));
  if (table.rows.empty()) return std::nullopt;
  return table;
}

void WriteTables(const Table& table, const std::filesystem::path& folder, const std::string& name) {
  MakeFolder(folder);
  WriteFileAtomically(folder / (name + ".md"), ToMarkdown(table));
  WriteFileAtomically(folder / (name + ".tex"), ToLatex(table));
  WriteFileAtomically(folder / (name + ".csv"), ToCsv(table));
}

}  // namespace condense
