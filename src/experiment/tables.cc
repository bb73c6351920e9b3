#include "experiment/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "config/paths.h"
#include "data/calibration.h"
#include "experiment/run/cell_records.h"
#include "report/measurements.h"
#include "report/published.h"
#include "report/statistics/stored_scores.h"
#include "report/tables/render.h"

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

const MethodSpec* MethodLabelled(const ExperimentSpec& spec, const Measurement& measurement) {
  const auto label = measurement.keys.find("method");
  for (const MethodSpec& method : spec.methods) {
    if (label != measurement.keys.end() && method.label == label->second) return &method;
  }
  return nullptr;
}

bool UsesKey(const TableSpec& layout, const std::string& key) {
  for (const auto* list : {&layout.rows, &layout.columns}) {
    if (std::find(list->begin(), list->end(), key) != list->end()) return true;
  }
  return false;
}

// What a calibration set of this name holds, if there still is one.
void AddCalibrationKeys(Measurement& measurement) {
  const auto name = measurement.keys.find("calibration");
  const std::vector<std::string> known = ListConfigs("calibration");
  if (name == measurement.keys.end() ||
      std::find(known.begin(), known.end(), name->second) == known.end()) {
    return;
  }
  const Node file = Node::ParseFile(NamedConfig("calibration", name->second));
  const auto set = ReadStruct<CalibrationSpec>(file.Only(FieldNames<CalibrationSpec>()));
  measurement.keys["calibration_corpus"] = set.corpus;
  measurement.keys["calibration_tokens"] = fmt::format("{}", set.samples * set.length);
}

// Keys that follow from others and from the spec, where the table is laid out by them.
void AddDerivedKeys(const ExperimentSpec& spec, const TableSpec& layout,
                    std::vector<Measurement>& measurements) {
  const bool calibration =
      UsesKey(layout, "calibration_corpus") || UsesKey(layout, "calibration_tokens");
  const bool ablation = UsesKey(layout, "ablation");
  for (Measurement& measurement : measurements) {
    if (calibration) AddCalibrationKeys(measurement);
    const MethodSpec* method = ablation ? MethodLabelled(spec, measurement) : nullptr;
    if (method == nullptr || measurement.dense) continue;
    measurement.keys["method"] = method->listed_as;
    measurement.keys["ablation"] = method->ablation.empty() ? "none" : method->ablation;
  }
}

// The cells that a table shows.
std::vector<Measurement> Chosen(const ExperimentTable& entry,
                                std::vector<Measurement> measurements) {
  if (entry.methods.empty()) return measurements;
  std::erase_if(measurements, [&](const Measurement& measurement) {
    const auto& shown = entry.methods;
    return !measurement.dense &&
           std::find(shown.begin(), shown.end(), measurement.keys.at("method")) == shown.end();
  });
  return measurements;
}

// A table's definition with the titles of the models, for the cells there are.
TableSpec LayoutOf(const ExperimentSpec& spec, const ExperimentTable& entry,
                   const std::vector<Measurement>& measurements) {
  TableSpec layout = TableSpecOf(entry, spec.title);
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

// Numbers about a calibration set describe it; they were not scored on it, and those of different
// sets may stand side by side.
void DropBasisOfCalibration(Measurement& measurement) {
  for (MetricValue& value : measurement.values) {
    if (value.protocol == kCalibration.id) value.basis.clear();
  }
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
    throw MakeError<ConfigError>("{}: no results of experiment {}; run it first: runner {}",
                                 store.path().string(), name, spec.file.string());
  }
  LogWarning("{} has changed since it was run; its last run is shown", name);
  return *last;
}

std::vector<Measurement> ExperimentMeasurements(const ExperimentSpec& spec,
                                                const ResultsStore& store, int64_t experiment) {
  std::vector<Measurement> measurements = MeasurementsOf(store, experiment);
  for (Measurement& measurement : measurements) DropBasisOfCalibration(measurement);
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

namespace {

// The published ablation that a method of the spec repeats, as keys to be joined by.
void AddPublishedKeys(const ExperimentSpec& spec, std::vector<Measurement>& measurements) {
  for (Measurement& measurement : measurements) {
    const MethodSpec* method = MethodLabelled(spec, measurement);
    if (method != nullptr && !method->published_as.empty()) {
      measurement.keys["published_as"] = method->published_as;
    }
  }
}

// One table of an experiment, and published values beside it.
class TableMaker {
 public:
  TableMaker(const ExperimentSpec& spec, const ResultsStore& store, int64_t experiment)
      : spec_(spec),
        store_(store),
        measurements_(ExperimentMeasurements(spec, store, experiment)) {}

  Table Make(const ExperimentTable& entry) const {
    std::vector<Measurement> measurements = Chosen(entry, measurements_);
    AddDerivedKeys(spec_, TableSpecOf(entry, spec_.title), measurements);
    StoredScores scores(store_);
    Table table = BuildTable(LayoutOf(spec_, entry, measurements), measurements, &scores);
    MarkDeviations(measurements, table);
    if (spec_.allow_overlap) table.notes.emplace_back("calibration and evaluated text may overlap");
    return table;
  }

  std::optional<Table> Published(const ExperimentTable& entry) const {
    if (!entry.published) return std::nullopt;
    std::vector<Measurement> measurements = Chosen(entry, measurements_);
    AddPublishedKeys(spec_, measurements);
    AddDerivedKeys(spec_, TableSpecOf(entry, spec_.title), measurements);
    Table table = PublishedTable(BuildTable(LayoutOf(spec_, entry, measurements), measurements),
                                 measurements, ReadPublished(ConfigFolder() / "published"));
    if (table.rows.empty()) return std::nullopt;
    return table;
  }

 private:
  const ExperimentSpec& spec_;
  const ResultsStore& store_;
  std::vector<Measurement> measurements_;
};

}  // namespace

Table ExperimentTableOf(const ExperimentSpec& spec, const ResultsStore& store, int64_t experiment) {
  return TableMaker(spec, store, experiment).Make(spec.table_entry);
}

std::string NamedTable::FileName(const std::string& experiment) const {
  std::string file = experiment;
  if (!name.empty()) file += "-" + name;
  if (published) file += "-published";
  return file;
}

std::vector<NamedTable> ExperimentTablesOf(const ExperimentSpec& spec, const ResultsStore& store,
                                           int64_t experiment) {
  const TableMaker maker(spec, store, experiment);
  std::vector<NamedTable> tables;
  const auto add = [&](const std::string& name, const ExperimentTable& entry) {
    tables.push_back({name, maker.Make(entry)});
    if (auto published = maker.Published(entry)) {
      tables.push_back({name, *std::move(published), /*published=*/true});
    }
  };
  add("", spec.table_entry);
  for (const auto& [name, entry] : spec.more_tables) add(name, entry);
  return tables;
}

void WriteTables(const Table& table, const std::filesystem::path& folder, const std::string& name) {
  MakeFolder(folder);
  WriteFileAtomically(folder / (name + ".md"), ToMarkdown(table));
  WriteFileAtomically(folder / (name + ".tex"), ToLatex(table));
  WriteFileAtomically(folder / (name + ".csv"), ToCsv(table));
}

}  // namespace condense
