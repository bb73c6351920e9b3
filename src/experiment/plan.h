// What an experiment consists of: its cells in the order of the table, and for each the stages of
// work with their content keys. Pure data; nothing is run here and no model is opened.
//
// A cell is one model treated by one method with one setting. Its fingerprint is the SHA-256 of the
// canonical text of that setting, of the digests of everything that goes in, and of the versions of
// the code parts concerned. What is evaluated is no part of it: a protocol that is added later
// makes a stage of the same cell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "experiment/inputs.h"
#include "experiment/spec/spec.h"

namespace condense {

// One setting, as positions in the lists of the spec.
struct CellSetting {
  size_t model = 0, method = 0;
  std::optional<double> ratio;        // none for methods without one
  std::optional<size_t> calibration;  // none for methods that need none
  std::optional<uint64_t> seed;       // none: the calibration set's own
  bool operator==(const CellSetting&) const = default;
  // The model as it is on disk.
  bool RemovesNothing() const { return ratio.value_or(0) == 0; }
};

// models x methods (each with its ablations) x ratios x calibration x seeds. A method that has no
// ratio appears once a model and calibration set; one that needs no calibration once a model and
// ratio.
std::vector<CellSetting> ExpandCells(const ExperimentSpec& spec);

enum class StageKind { kCalibrate, kCompress, kEvaluate };
struct PlannedStage {
  StageKind kind = StageKind::kCompress;
  std::string key;
  size_t evaluator = 0;        // kEvaluate: in the list of the spec
  EvaluationStage evaluation;  // kEvaluate
  const char* Kind() const;    // "compress"
  std::string Name() const;    // "compress", "evaluate bundled-256"
};

struct PlannedCell {
  CellSetting setting;
  std::string name;  // "llama2-mini modegpt 0.2 bundled-128x256", for people
  std::string canonical, fingerprint;
  std::vector<PlannedStage> stages;
  std::vector<InputRecord> inputs;
  bool complete = false;  // false: something that goes in was not found, so there are no keys
};

struct ExperimentPlan {
  std::vector<PlannedCell> cells;
  std::vector<std::string> missing;  // every input that was not found, as a sentence each
};

ExperimentPlan PlanExperiment(const ExperimentSpec& spec, InputResolver& inputs);

// The cells in the order of work: what shares a model, then a calibration set, lies together.
std::vector<size_t> WorkOrder(const ExperimentPlan& plan);

// The cells as the database knows them.
std::vector<ExperimentCell> CellRecords(const ExperimentSpec& spec, const ExperimentPlan& plan);
ExperimentRecord ExperimentRecordOf(const ExperimentSpec& spec);

}  // namespace condense
