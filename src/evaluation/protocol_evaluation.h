// Evaluates a perplexity protocol of any family.
#pragma once

#include <variant>

#include "data/protocols/protocol_text.h"
#include "evaluation/measured.h"
#include "evaluation/perplexity.h"
#include "evaluation/rolling.h"

namespace condense {

struct ProtocolMeasurement : Measured {
  double seconds = 0;
  std::variant<PerplexityResult, RollingResult> result;
};

// The errors of EvaluatePerplexity and EvaluateRolling.
ProtocolMeasurement EvaluateProtocol(const ModelSource& model, const ProtocolText& text);

}  // namespace condense
