// Numbers that a finished stage leaves, in the form the database stores (protocols.md 6.1, 8).
#pragma once

#include "compression/compress.h"
#include "data/calibration.h"
#include "evaluation/agreement.h"
#include "evaluation/protocol_evaluation.h"
#include "model/stored/checkpoint_model.h"
#include "results/results_store.h"
#include "stats/task_scores.h"

namespace condense {

// Ids under which numbers are stored that are no evaluation, with their parameters.
struct OwnProtocol {
  const char* id;
  const char* params;
};
inline constexpr OwnProtocol kParameters{"parameters", R"({"definitions":"protocols.md 6.1"})"};
inline constexpr OwnProtocol kCost{"cost", R"({"definitions":"protocols.md 5.8"})"};
inline constexpr OwnProtocol kCalibration{"calibration", R"({"definitions":"protocols.md 2.1"})"};
inline constexpr OwnProtocol kModuleReport{"modules",
                                           R"({"definitions":"methods.md 0.5, rule 8"})"};

// Metrics of a compression from nothing: the time and the largest memory of each phase and of
// the whole, and the time of each module within the phase "solve".
StageResult CostRecords(const std::string& protocol, const CompressionResult& result);
// Multiplications of a forward pass over `positions` tokens, and bytes of keys and values.
StageResult ArithmeticRecords(const std::string& protocol, const ModelConfig& config,
                              int64_t positions, int64_t element_bytes);

// A compressed cell whose real ratio is further from the requested one than this is marked.
inline constexpr double kMatchTolerance = 0.005;

StageResult DenseResult(const CheckpointModel& model);
// What changes when a compressed model is transformed: its counts, and how far it is from the ratio.
StageResult TransformedResult(const CheckpointModel& model, double ratio, Match match);
StageResult CompressedResult(const CompressionResult& result, double ratio, Match match);
void AddBytes(const CheckpointModel& stored, StageResult& result);
StageResult CalibrationResult(const CalibrationSet& set);
StageResult MeasurementRecords(const std::string& protocol, const ProtocolMeasurement& measured);

// Accuracies and the scores they come from; acc_bytes and acc_tok are added where there is
// acc_norm.
StageResult TaskRecords(const TaskScores& scores, const std::vector<TaskMetric>& metrics);
StageResult AgreementRecords(const std::string& protocol, const AgreementResult& agreement);

// Names under which these store a number, for tables to choose from. Phases of a compression are
// stored as PHASE-seconds besides.
std::vector<std::string> MetricNames();
bool IsMetricName(const std::string& name);
// Those that are stored of each module of each layer.
std::vector<std::string> ModuleMetricNames();

// What a ratio counts, as really removed: of block weights, of all parameters, ...
double RealRatio(const CompressionResult& result, Match match);

}  // namespace condense
