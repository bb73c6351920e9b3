// The work of one cell, stage by stage, from models and texts to what the database stores.
//
// A compressed model is always written and read again before it is evaluated, so that what is
// measured is what is on disk, and an evaluation added later needs no second compression.
#pragma once

#include <filesystem>
#include <optional>

#include "experiment/plan.h"
#include "experiment/run/workbench.h"
#include "results/results_store.h"

namespace condense {

class CellWork {
 public:
  // `results`: the folder that artefacts are relative to.
  CellWork(Workbench& bench, const ExperimentSpec& spec, const PlannedCell& cell,
           std::filesystem::path results)
      : bench_(bench), spec_(spec), cell_(cell), results_(std::move(results)) {}

  StageResult Run(const PlannedStage& stage, StageParts parts);
  // Names a model that was compressed before, to be used if it still is what it was.
  void Note(StageRecord compressed) { noted_ = std::move(compressed); }
  // Removes the artefact if the experiment says so.
  void Discard();

 private:
  StageResult Calibrate();
  StageResult CompressModel();
  StageResult Evaluate(const PlannedStage& stage, StageParts parts);

  CalibrationBench& Calibration(bool scores);
  CompressionResult CompressInto(const std::filesystem::path& folder);
  CompressionResult CompressWith(StatisticsStore& statistics, StatisticsStore& scores,
                                 const CheckpointModel& dense, const std::filesystem::path& folder);
  CompressionResult CompressAgain();
  // The compressed model, made again if it is not there.
  OpenedModel& Compressed();
  void OpenNoted();
  std::filesystem::path ArtefactName() const;
  // With the text that a perplexity protocol scores.
  void RequireNoSharedText(const std::string& protocol);

  Workbench& bench_;
  const ExperimentSpec& spec_;
  const PlannedCell& cell_;
  std::filesystem::path results_;
  std::optional<StageRecord> noted_;
  std::optional<OpenedModel> compressed_;
};

}  // namespace condense
