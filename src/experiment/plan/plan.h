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
#include <variant>
#include <vector>

#include "experiment/inputs/inputs.h"
#include "experiment/plan/axes.h"
#include "experiment/spec/spec.h"

namespace condense {

// What a stage does.
struct CalibrationWork {};
// Makes the model of a step: 0 is the compression, each transform is one more.
struct ModelWork {
  size_t step = 0;
};
struct EvaluationWork {
  size_t evaluator = 0;  // in the list of the spec
  EvaluationStage stage;
};

struct PlannedStage {
  std::string kind;  // "calibrate", "compress", a transform's name, "evaluate"
  std::string key;
  std::variant<CalibrationWork, ModelWork, EvaluationWork> work;
  std::string Name() const;  // "compress", "evaluate bundled-256"
};

// A model that a cell makes on its way. Cells that begin alike share it.
struct PlannedModel {
  std::string canonical, fingerprint;
  std::string Artefact() const;  // its folder, relative to the results
};

struct PlannedCell {
  CellSetting setting;
  std::string name;  // "llama2-mini modegpt 0.2 bundled-128x256", for people
  std::string canonical, fingerprint;
  std::vector<PlannedModel> models;  // by step; the last one is the cell's
  std::vector<PlannedStage> stages;
  std::vector<InputRecord> inputs;
  bool complete = false;  // false: an input was not found, so there are no keys
};

struct ExperimentPlan {
  std::vector<PlannedCell> cells;
  std::vector<std::string> missing;  // every input that was not found, as a sentence each
};

ExperimentPlan PlanExperiment(const ExperimentSpec& spec, InputResolver& inputs);

// The cells in the order of work: those that share a model, then a calibration set, follow each
// other.
std::vector<size_t> WorkOrder(const ExperimentSpec& spec, const ExperimentPlan& plan);

// The cells as the database knows them.
std::vector<ExperimentCell> CellRecords(const ExperimentSpec& spec, const ExperimentPlan& plan);
ExperimentRecord ExperimentRecordOf(const ExperimentSpec& spec);

}  // namespace condense
