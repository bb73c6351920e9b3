// The work of one cell, stage by stage, from models and texts to what the database stores.
//
// A cell makes its model in steps: the compression, then each transform. Every model is written and
// read again before it is used, so that what is measured is what is on disk, and an evaluation
// added later needs no second compression.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "experiment/plan/plan.h"
#include "experiment/run/workbench.h"
#include "results/results_store.h"

namespace condense {

class CellWork {
 public:
  // `results`: the folder that artefacts are relative to.
  CellWork(Workbench& bench, const ExperimentSpec& spec, const PlannedCell& cell,
           std::filesystem::path results)
      : bench_(bench),
        spec_(spec),
        cell_(cell),
        results_(std::move(results)),
        transforms_(TransformsOf(spec, cell.setting)),
        models_(cell.models.size()) {}

  StageResult Run(const PlannedStage& stage, StageParts parts);
  // A stage that was finished before. A model that it made is used if it still is what it was.
  void Note(const PlannedStage& stage, StageRecord done);
  // Removes the artefacts if the experiment says so, except those that are needed.
  void Discard(const std::function<bool(const PlannedModel&)>& needed);

 private:
  struct MadeModel {
    std::optional<StageRecord> noted;
    std::optional<StoredModel> opened;
  };

  StageResult Do(const CalibrationWork&, StageParts);
  StageResult Do(const ModelWork& work, StageParts);
  StageResult Do(const EvaluationWork& work, StageParts parts);

  CalibrationBench& Calibration(bool scores);
  CompressionResult CompressWith(StatisticsStore& statistics, StatisticsStore& scores,
                                 const StoredModel& dense, const std::filesystem::path& folder);
  CompressionResult CompressAgain();
  StageResult Transformed(size_t step, const StoredModel& before,
                          const std::filesystem::path& folder);

  // The model after a step, made again if it is not there. Step 0 of a cell that removes nothing is
  // the dense model itself.
  const StoredModel& ModelAfter(size_t step);
  bool IsDense(size_t step) const { return step == 0 && cell_.setting.RemovesNothing(); }
  // Writes and opens the model of a step.
  StageResult Make(size_t step);
  void OpenNoted(MadeModel& model);
  CheckpointSink SinkFor(size_t step, const StoredModel& before,
                         const std::filesystem::path& folder) const;
  // With the text that a perplexity protocol scores.
  void RequireNoSharedText(const std::string& protocol);

  Workbench& bench_;
  const ExperimentSpec& spec_;
  const PlannedCell& cell_;
  std::filesystem::path results_;
  std::vector<Component<Transform>> transforms_;  // that of step i + 1 at i
  std::vector<MadeModel> models_;                 // by step
};

}  // namespace condense
