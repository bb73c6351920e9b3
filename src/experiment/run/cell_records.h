// Numbers that a finished stage leaves, in the form the database stores (protocols.md 6.1, 8).
#pragma once

#include "compression/compress.h"
#include "data/calibration.h"
#include "evaluation/measured.h"
#include "model/stored/stored_model.h"
#include "results/results_store.h"

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

// A compressed cell whose real ratio is further from the requested one than this is marked.
inline constexpr double kMatchTolerance = 0.005;

StageResult DenseResult(const StoredModel& model);
// What changes when a compressed model is transformed: its counts, and how far it is from the ratio.
StageResult TransformedResult(const StoredModel& model, double ratio, Match match);
StageResult CompressedResult(const CompressionResult& result, double ratio, Match match);
void AddBytes(const StoredModel& stored, StageResult& result);
StageResult CalibrationResult(const CalibrationSet& set);
// What was measured on a text.
StageResult RecordsOf(const std::string& protocol, const Measured& measured);
// The time that a phase of a compression or a transform took.
MetricRecord SecondsOf(const std::string& phase, double seconds,
                       const std::string& protocol = kCost.id);

// What a ratio counts, as really removed: of block weights, of all parameters, ...
double RealRatio(const CompressionResult& result, Match match);

}  // namespace condense
