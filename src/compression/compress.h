// Runs one method on one model: plan, match of the ratio, compression, report.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/phases.h"
#include "compression/compressor.h"

namespace condense {

// What a requested ratio means (methods.md 3, protocols.md 6.1).
enum class Match {
  kBlock,     // fraction of block weights really removed
  kNominal,   // the method's own number
  kTotal,     // fraction of all parameters really removed
  kTotalAbs,  // all parameters <= dense total - ratio x dense block weights
};

struct CompressionRequest {
  const Compressor& method;
  const Allocator* allocator = nullptr;  // must be given if the method uses one
  double ratio = 0;
  Match match = Match::kBlock;
  uint64_t seed = 0;
  // ConfigError where no parameter can be removed although the ratio is above 0. Else a warning.
  bool must_remove = false;
};

struct MatchedPlan {
  double nominal = 0;
  Plan plan;
};

// ConfigError when the ratio cannot be met.
MatchedPlan MatchRatio(const CompressionRequest& request, const PlanContext& context);

// A ratio above 0 that was asked for and what became of it, in the measure of `match`. It is missed
// by more than half a block where a method removes whole blocks, or by more than 0.05.
struct RatioOutcome {
  double asked = 0, achieved = 0;
  bool missed = false;
};

struct CompressionResult {
  double nominal = 0;
  std::optional<RatioOutcome> outcome;  // absent where nothing was to be removed
  ModelConfig config;
  ParameterCount parameters;
  RealRatios ratios;
  CompressionReport report;
  double seconds = 0;
  // `seconds` is the sum of these: "statistics" (passes over the calibration set), "plan"
  // (allocation and the search for the ratio), "solve" (the method without its passes) and "save".
  std::map<std::string, PhaseUse> phases;
};

// Compresses the model of `statistics` into `sink`. A ratio that is missed is warned of. `scores` names the statistics that score layers
// (usually the same object). At ratio 0, and for a method that removes nothing, the model is
// copied.
CompressionResult Compress(const CompressionRequest& request, StatisticsStore& statistics,
                           StatisticsStore& scores, ModelSink& sink);

}  // namespace condense
