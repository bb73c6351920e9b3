// Losses over next tokens. Works in chunks of positions, so that the logits of a long text are
// never in memory as a whole.
#pragma once

#include <span>
#include <vector>

#include "kernels/target_scores.h"
#include "model/model_source.h"

namespace condense {

// hidden: [batch, tokens, width] before the final norm; ids: [batch, tokens]. Negative
// log-likelihood of ids 1 ... tokens-1: [batch, tokens - 1] float64; log-softmax in float32.
// `precision` kLogits forms it in the dtype of the logits, as some reference scripts do.
enum class LossPrecision { kFloat32, kLogits };
Tensor NextTokenNll(const Head& head, const Tensor& hidden, const Tensor& ids,
                    LossPrecision precision = LossPrecision::kFloat32);

// Scores of ids that may follow chosen positions: hidden [rows, width] before the final norm;
// targets in ascending order of rows.
std::vector<TargetScore> ScoreTargets(const Head& head, const Tensor& hidden,
                                      std::span<const RowTarget> targets);

}  // namespace condense
